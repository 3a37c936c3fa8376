"""How many cores a process may use, given its affinity, the environment and a container's quota."""

from __future__ import annotations

import math
import os
import runpy
import sys
from pathlib import Path

import pytest

from numlstm.backends.cpu import cores


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Eight cores and no quota."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "quota", lambda: math.inf)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("allowed", "expected"), [(math.inf, 8), (64.0, 8), (8.0, 8), (2.5, 3), (2.0, 2), (0.1, 1), (0.0, 1)]
)
def test_a_quota_is_rounded_up(unlimited: pytest.MonkeyPatch, allowed: float, expected: int) -> None:
    unlimited.setattr(cores, "quota", lambda: allowed)
    assert cores.usable_cores() == expected


@pytest.mark.parametrize(
    ("wanted", "expected"), [("", 8), ("2", 2), ("64", 8), (" 3 ", 3), ("4,2", 4), ("0", 1), ("many", 8), ("-1", 8)]
)
def test_omp_num_threads(unlimited: pytest.MonkeyPatch, wanted: str, expected: int) -> None:
    unlimited.setenv("OMP_NUM_THREADS", wanted)
    assert cores.usable_cores() == expected


def test_without_affinity_all_cores_count(unlimited: pytest.MonkeyPatch) -> None:
    unlimited.delattr(cores.os, "sched_getaffinity")
    unlimited.setattr(cores.os, "cpu_count", lambda: 5)
    assert cores.usable_cores() == 5
    unlimited.setattr(cores.os, "cpu_count", lambda: None)
    assert cores.usable_cores() == 1


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "200000 100000"}, 0.5),
        ("0::/a/b\n", {"a/c/cpu.max": "50000 100000"}, math.inf),
        (
            "4:cpu,cpuacct:/docker/x\n1:name=systemd:/y\n",
            {"cpu/docker/x/cpu.cfs_quota_us": "300000\n", "cpu/docker/x/cpu.cfs_period_us": "100000\n"},
            3.0,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        (None, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1.0),
        ("odd\n\n::\n", {"cpu.max": "what is this"}, math.inf),
        ("0::/\n", {"cpu.max": "100 0"}, math.inf),
    ],
)
def test_the_quota_of_a_container(tmp_path: Path, own: str | None, files: dict[str, str], expected: float) -> None:
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if own is not None:
        (tmp_path / "own").write_text(own)
    assert cores.quota(tmp_path / "groups", tmp_path / "own") == expected


def test_here_there_is_at_least_one() -> None:
    assert 1 <= cores.usable_cores() <= (os.cpu_count() or 1)


def test_numba_is_told_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "")
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    runpy.run_path(cores.__file__)
    assert "NUMBA_NUM_THREADS" not in os.environ, "too late, Numba is already imported"
    monkeypatch.delitem(sys.modules, "numba")
    runpy.run_path(cores.__file__)
    assert os.environ["NUMBA_NUM_THREADS"] == "1"
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    runpy.run_path(cores.__file__)
    assert os.environ["NUMBA_NUM_THREADS"] == "7", "a value set by the user is kept"
