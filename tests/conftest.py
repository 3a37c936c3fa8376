"""Configure the test suite: workers, tests that run alone, the summary of deselected slow tests, shared fixtures."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from numlstm.text.sources.python_library import python_source
from tests.helpers import alone, gpu_needed

# No deadline: the first example of a test may import modules and compile patterns, and the machine may be busy.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

_LEFT_OUT = pytest.StashKey[Counter[str]]()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one worker per core."""
    return cores()


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment that workers and the processes started by tests inherit."""
    config.stash[_LEFT_OUT] = Counter()
    config.pluginmanager.register(gpu_needed)
    if hasattr(config, "workerinput"):
        return
    workers = max(1, getattr(config.option, "numprocesses", None) or 1)
    # At least two threads, so that code that splits its work between threads is tested doing so.
    os.environ.setdefault("NUMBA_NUM_THREADS", str(max(cores() // workers, min(2, cores()))))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts recompiles all sources
    # A folder of its own even if a test started this run: with its parent's locks it could deadlock.
    os.environ[alone.LOCK] = tempfile.mkdtemp(prefix="pytest-alone-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the lock folder."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(alone.LOCK, ""), ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold other workers back while a test marked `alone` runs."""
    with alone.turn(item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the deselected slow tests by folder."""
    for item in items:
        if item.get_closest_marker("slow"):
            _, room, *rest = Path(item.nodeid.partition("::")[0]).parts
            item.config.stash[_LEFT_OUT][room if rest else "the root"] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the counts to the process that prints the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[_LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Merge the counts of a worker: all workers collect the same tests, so take the maximum."""
    node.config.stash[_LEFT_OUT] |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how many slow tests were deselected."""
    if left_out := config.stash[_LEFT_OUT]:
        folders = ", ".join(f"{name} {count}" for name, count in sorted(left_out.items()))
        terminalreporter.write_line(f"slow tests not run (pytest -m slow runs them): {left_out.total()}: {folders}")


@pytest.fixture(scope="session")
def source_text() -> str:
    """Return 60,000 characters of Python's standard library: a real text that every machine has."""
    return python_source()[:60_000]


@pytest.fixture
def text_file(tmp_path: Path, source_text: str) -> Path:
    """Return a file with the first 6,000 characters of `source_text`."""
    path = tmp_path / "text.txt"
    path.write_text(source_text[:6000], encoding="utf-8", newline="")
    return path
