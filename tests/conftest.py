"""How the suite runs: its workers, the tests that run alone, what is left to the slow proofs; and shared fixtures."""

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

# The first example of a test may import modules and compile patterns, and the machine may have other work.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

_LEFT_OUT = pytest.StashKey[Counter[str]]()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker a core."""
    return cores()


def pytest_configure(config: pytest.Config) -> None:
    """Set what workers and the processes that tests start inherit."""
    config.stash[_LEFT_OUT] = Counter()
    config.pluginmanager.register(gpu_needed)
    if hasattr(config, "workerinput"):
        return
    workers = max(1, getattr(config.option, "numprocesses", None) or 1)
    # Two threads at least: code that divides its work must be tested where it does.
    os.environ.setdefault("NUMBA_NUM_THREADS", str(max(cores() // workers, min(2, cores()))))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process that a test starts compiles all sources anew
    # Its own, even if a test started this: a run that shared its parent's locks could wait for it for ever.
    os.environ[alone.LOCK] = tempfile.mkdtemp(prefix="pytest-alone-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the locks."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(alone.LOCK, ""), ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold other workers back while a test marked `alone` runs."""
    with alone.turn(item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the slow proofs that were left out, by folder."""
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
    """Take the counts of a worker; all workers collect the same tests."""
    node.config.stash[_LEFT_OUT] |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was left to the slow proofs."""
    if left_out := config.stash[_LEFT_OUT]:
        folders = ", ".join(f"{name} {count}" for name, count in sorted(left_out.items()))
        terminalreporter.write_line(f"left to the slow proofs (pytest -m slow): {left_out.total()} tests: {folders}")


@pytest.fixture(scope="session")
def source_text() -> str:
    """A real text, found on every machine: 60,000 characters of Python's own library."""
    return python_source()[:60_000]


@pytest.fixture
def text_file(tmp_path: Path, source_text: str) -> Path:
    """The first 6,000 characters of it in a file."""
    path = tmp_path / "text.txt"
    path.write_text(source_text[:6000], encoding="utf-8", newline="")
    return path
