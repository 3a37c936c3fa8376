"""A lock that a process holds while it is at work, and that goes with it however it ends.

The file itself stays and means nothing. Knows nothing about what is done under it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def holding(path: Path, pause: float = 0.1) -> Iterator[None]:
    """Hold the lock while the block runs, waiting for it first. Raises `OSError` if the file cannot be made."""
    with open(path, "ab") as file:
        while not _taken(file):
            time.sleep(pause)
        yield


def taken(path: Path) -> IO[bytes] | None:
    """Return the file that holds the lock until it is closed, None if another process holds it; `OSError` as above."""
    file = open(path, "ab")  # noqa: SIM115 (held until the caller closes it)
    if _taken(file):
        return file
    file.close()
    return None


def is_free(path: Path) -> bool:
    """Whether no process holds the lock."""
    if not path.exists():
        return True
    with contextlib.suppress(OSError), open(path, "ab") as file:
        return _taken(file)
    return True


def _taken(file: IO[bytes]) -> bool:
    """Take the lock for the open file; return whether it could be had."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # which Windows says of a lock that is held
        return False
    return True
