"""Start child processes that signals stop as usual, even if the tests run under `nohup` or as a background job.

A child inherits its parent's ignored signals, and Python installs no SIGINT handler if SIGINT is ignored. So the child
first restores the default handling, then executes the command.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PUT_BACK = """\
import os, signal, sys
for name in sys.argv[1].split(","):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def hears_signals(command: Sequence[str | Path]) -> list[str]:
    """Return a command that executes `command` with no signal ignored, in the same process."""
    words = [str(word) for word in command]
    ignored = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if _is_ignored(name)]
    if not ignored:
        return words
    return [sys.executable, "-I", "-S", "-c", _PUT_BACK, ",".join(ignored), *words]


def ignores_signals(command: Sequence[str | Path], *names: str) -> list[str]:
    """Return a command that executes `command` with these signals ignored, as `nohup` does with SIGHUP."""
    put_back = _PUT_BACK.replace("SIG_DFL", "SIG_IGN")
    return [sys.executable, "-I", "-S", "-c", put_back, ",".join(names), *map(str, command)]


def _is_ignored(name: str) -> bool:
    number = getattr(signal, name, None)  # Windows has no SIGHUP
    return number is not None and signal.getsignal(number) is signal.SIG_IGN
