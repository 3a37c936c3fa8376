"""Pytest plugin: with `NUMLSTM_NEED_GPU=1` a skipped test marked `gpu` fails, and so does a run without such tests.

The variable is removed from the environment, so that it does not affect pytest runs that tests start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

VARIABLE = "NUMLSTM_NEED_GPU"
_NEEDED = pytest.StashKey[bool]()
_SEEN = pytest.StashKey[list[str]]()  # tests marked `gpu` that were selected


def pytest_configure(config: pytest.Config) -> None:
    """Read whether a GPU is needed, from the variable or from the process that started this worker."""
    asked = os.environ.pop(VARIABLE, "") not in ("", "0")
    config.stash[_NEEDED] = asked or bool(getattr(config, "workerinput", {}).get("gpu_needed"))
    config.stash[_SEEN] = []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the setting on to a worker."""
    node.workerinput["gpu_needed"] = node.config.stash[_NEEDED]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Report a skipped test that needs a GPU as failed, with the skip reason."""
    report: Any = yield
    if item.config.stash[_NEEDED] and item.get_closest_marker("gpu"):
        report.needs_gpu = True
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            report.outcome, report.longrepr = "failed", f"{VARIABLE} is set, but: {reason}"
    return report


class _Counter:
    """Collects the ids of GPU tests from the reports of all workers."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if getattr(report, "needs_gpu", False):
            self.seen.append(report.nodeid)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start collecting the ids of GPU tests."""
    session.config.pluginmanager.register(_Counter(session.config.stash[_SEEN]))


def _none_was_run(config: pytest.Config) -> bool:
    here = not hasattr(config, "workerinput") and not config.option.collectonly
    return here and config.stash[_NEEDED] and not config.stash[_SEEN]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run without any GPU test."""
    if _none_was_run(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print why the run failed."""
    if _none_was_run(config):
        terminalreporter.write_line(f"{VARIABLE} is set, but no test marked gpu was run", red=True)
