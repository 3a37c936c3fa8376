"""Files that take long to make and that several processes want: one makes each of them, the others wait for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def made_once(path: Path, make: Callable[[], None]) -> Path:
    """Return `path`, which `make` makes if it is not there."""
    import fcntl  # not on Windows, where tests import this but skip what needs it

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                make()
    return path
