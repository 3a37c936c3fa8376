"""Readers-writer lock between test workers: tests share the machine, and one marked `alone` has it for itself.

Workers are processes, so this uses locks on two files. A test that must run alone first takes `gate`, so that no other
test starts, then waits for those in progress.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = "PYTEST_ALONE_FOLDER"  # environment variable: the folder of the two lock files


@contextlib.contextmanager
def turn(alone: bool) -> Iterator[None]:
    """Context manager: hold the lock, exclusively if `alone`. Does nothing without a lock folder or on Windows."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    if LOCK not in os.environ:
        yield
        return
    folder = Path(os.environ[LOCK])
    with open(folder / "gate", "ab") as gate, open(folder / "tests", "ab") as tests:
        how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        fcntl.flock(gate, how)
        fcntl.flock(tests, how)
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield
