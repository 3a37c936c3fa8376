"""Turns of tests on one machine: many at once, or one that measures or kills and has the machine for itself.

Workers are processes, so the turns are locks on two files. A test that wants to be alone first closes the gate, so
that no other begins, then waits for those under way.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = "PYTEST_ALONE_FOLDER"  # names the folder of the two files


@contextlib.contextmanager
def turn(alone: bool) -> Iterator[None]:
    """Wait for a turn and hold it; without a folder, or on Windows, do nothing."""
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
