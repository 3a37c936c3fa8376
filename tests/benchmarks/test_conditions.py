"""Neighbours keep cores busy and end with the benchmark; a limit on instructions reaches every contestant."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import conditions, contest
from numlstm.backends.cpu import processor

PROC = Path("/proc/self/stat")


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    conditions.add_options(parser)
    return parser.parse_args(arguments)


def cpu_ticks(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11])  # user time; the fields after the name begin with the third


def has_ended(process: int) -> bool:
    path = Path(f"/proc/{process}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.skipif(not PROC.exists(), reason="needs /proc")
def test_neighbours_are_busy_until_the_end() -> None:
    with conditions.neighbours(2) as processes:
        deadline = time.monotonic() + 20
        while min(cpu_ticks(each.pid) for each in processes) < 5:
            assert time.monotonic() < deadline, "the neighbours do nothing"
            time.sleep(0.02)
    assert all(each.poll() is not None for each in processes)
    with conditions.neighbours(0) as processes:
        assert processes == []


@pytest.mark.skipif(not PROC.exists(), reason="needs /proc")
def test_neighbours_end_with_a_benchmark_that_is_killed() -> None:
    script = "import subprocess, sys; from benchmarks import conditions as c\n"
    script += "with c.neighbours(1) as started: print(started[0].pid, flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, cwd=contest.ROOT) as benchmark:
        assert benchmark.stdout is not None
        neighbour = int(benchmark.stdout.readline())
        time.sleep(0.5)  # it must have asked for its parent
        assert not has_ended(neighbour)
        benchmark.kill()
    deadline = time.monotonic() + 20
    while not has_ended(neighbour):
        assert time.monotonic() < deadline, "the neighbour goes on"
        time.sleep(0.02)


def test_results_under_conditions_have_files_of_their_own() -> None:
    assert conditions.variant(parsed()) == ""
    assert conditions.variant(parsed("--isa", "avx2", "--busy", "2")) == "-avx2-busy-2"


def test_a_limit_reaches_a_worker() -> None:
    if "avx2" not in processor.available_register_files():
        pytest.skip("this processor has no AVX2")
    with contest.Worker("peak", "fma", {"threads": 1}, conditions.variables("avx2")) as worker:
        assert worker.ask("about")["device"].endswith("AVX2")
    assert conditions.variables(None) == {}


def test_a_script_starts_again_with_the_limit_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        started.append((command, env))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "benchmarks.kernels", "--isa", "avx2"])
    conditions.limit_this_process(None)
    assert started == []
    with pytest.raises(SystemExit, match="3"):
        conditions.limit_this_process("avx2")
    ((command, environment),) = started
    assert command == [sys.executable, "-m", "benchmarks.kernels", "--isa", "avx2"]
    assert environment["NUMLSTM_SIMD"] == "avx2"
    for name, value in conditions.ISA["avx2"].items():
        monkeypatch.setenv(name, value)
    conditions.limit_this_process("avx2")
    assert len(started) == 1, "it must not start itself for ever"
