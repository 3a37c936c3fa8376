"""`benchmarks.large` writes a text of a given size and measures processes from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import large
from tests.cli import in_process

RunScript = Callable[..., str]
TINY = ("--", "--layers", "8", "--batch-size", "2", "--seq-len", "8", "--steps", "2", "--device", "cpu")


def test_both_runs_train_on_a_text_of_that_size(
    run_script: RunScript, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caches = []

    def measured(command: list[str], cache: Path) -> dict[str, float]:
        assert command[:3] == [sys.executable, "-m", "numlstm"]
        caches.append(cache)
        done = in_process.run(command[3:], variables={"NUMLSTM_CACHE_DIR": str(cache)})
        assert done.returncode == 0, done.stderr
        return {"seconds": 1.0, "peak_memory_mb": 100.0}

    monkeypatch.setattr(large, "measured", measured)
    printed = run_script(large, "--gigabytes", "0.0005", "-o", tmp_path / "r.json", *TINY)
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert 500_000 <= found["text_bytes"] < 3_000_000, "the text ends with a complete round of lines"
    assert found["encoding_and_training"] == found["training"] == {"seconds": 1.0, "peak_memory_mb": 100.0}
    assert len(set(caches)) == 1, "the second run must find the text that the first encoded"
    assert "training: 1 s, at most 100 MB" in printed


def test_the_text_has_other_numbers_in_each_line(tmp_path: Path) -> None:
    large.write_text(tmp_path / "t.txt", 2_000_000)
    lines = (tmp_path / "t.txt").read_text("ascii").splitlines()
    assert [line.split()[0] for line in lines] == list(map(str, range(len(lines))))


needs_wait4 = pytest.mark.skipif(not hasattr(os, "wait4"), reason="this system has no wait4")


# Runs in its own process, as the script does: a child's peak memory starts from its parent's.
MEASURED = """
import sys
from pathlib import Path
from benchmarks import large
for size in (1, 100_000_000):
    print(large.measured([sys.executable, "-S", "-c", f"bytearray(b'x') * {size}"], Path())["peak_memory_mb"])
"""


@needs_wait4
def test_the_most_memory_of_a_process() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], cwd=large.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    small, big = map(float, done.stdout.split())
    assert 5 < small < 100
    assert big >= 100


@needs_wait4
def test_a_process_that_fails_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        large.measured([sys.executable, "-S", "-c", "raise SystemExit(3)"], tmp_path)


@needs_wait4
@pytest.mark.slow
def test_a_small_text_in_processes(run_script: RunScript, tmp_path: Path) -> None:
    run_script(large, "--gigabytes", "0.001", "-o", tmp_path / "r.json", *TINY)
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    for turn in ("encoding_and_training", "training"):
        assert found[turn]["seconds"] > 0
        assert found[turn]["peak_memory_mb"] > 50
