"""Child processes that signals stop as usual, even where the tests themselves run under `nohup` or in a background job.

A child inherits which signals its parent ignores, and Python leaves an ignored SIGINT alone. So where one is ignored
here, the child's first act is to put back the system's default, and then it becomes the command.
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
    """Return the command to start instead, in which no signal is ignored; the process keeps its number."""
    words = [str(word) for word in command]
    ignored = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if _is_ignored(name)]
    if not ignored:
        return words
    return [sys.executable, "-I", "-S", "-c", _PUT_BACK, ",".join(ignored), *words]


def ignores_signals(command: Sequence[str | Path], *names: str) -> list[str]:
    """Return the command to start instead, in which these signals are ignored, as `nohup` does with SIGHUP."""
    put_back = _PUT_BACK.replace("SIG_DFL", "SIG_IGN")
    return [sys.executable, "-I", "-S", "-c", put_back, ",".join(names), *map(str, command)]


def _is_ignored(name: str) -> bool:
    number = getattr(signal, name, None)  # Windows has no SIGHUP
    return number is not None and signal.getsignal(number) is signal.SIG_IGN
