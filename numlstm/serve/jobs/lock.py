"""A file lock that a process holds while it works. The system releases it however the process ends.

The file itself stays behind; its existence means nothing.
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
    """Context manager: wait for the lock, then hold it. Raises `OSError` if the file cannot be created."""
    with open(path, "ab") as file:
        while not _taken(file):
            time.sleep(pause)
        yield


def taken(path: Path) -> IO[bytes] | None:
    """Take the lock. Return the file that holds it until closed, or None if another process has it.

    Raises `OSError` if the file cannot be created.
    """
    file = open(path, "ab")  # noqa: SIM115 (the caller closes it)
    if _taken(file):
        return file
    file.close()
    return None


def is_free(path: Path) -> bool:
    """Return True if no process holds the lock."""
    if not path.exists():
        return True
    with contextlib.suppress(OSError), open(path, "ab") as file:
        return _taken(file)
    return True


def _taken(file: IO[bytes]) -> bool:
    """Try to lock the open file; return True on success."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # Windows raises this for a held lock
        return False
    return True
