"""The signals that children handle do not depend on those that the test process ignores."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.helpers.processes import hears_signals, ignores_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

ASK = [
    sys.executable,
    "-S",
    "-c",
    "import signal; print(*(int(signal.getsignal(n) is not signal.SIG_IGN) for n in (1, 2)))",
]


def heard(command: list[str]) -> str:
    """Return for SIGHUP and SIGINT whether a child handles (1) or ignores (0) it."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.parametrize("ignored", [(), ("SIGHUP",), ("SIGHUP", "SIGINT")])
def test_a_child_hears_what_its_parent_ignores(ignored: tuple[str, ...]) -> None:
    before = {name: signal.signal(getattr(signal, name), signal.SIG_IGN) for name in ignored}
    try:
        assert heard(hears_signals(ASK)) == "1 1"
        if ignored:
            assert "0" in heard(ASK), "an ordinary child inherits ignored signals"
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def test_a_child_as_from_nohup() -> None:
    assert heard(hears_signals(ignores_signals(ASK, "SIGHUP"))) == "0 1"
