"""Slow-to-make files needed by several processes: one process makes each file and the others wait for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def made_once(path: Path, make: Callable[[], None]) -> Path:
    """Return `path`, after calling `make` to create it if it does not exist. Uses a lock file between processes."""
    import fcntl  # missing on Windows, where this module is imported but unused

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                make()
    return path
