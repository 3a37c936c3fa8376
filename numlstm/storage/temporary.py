"""Temporary file names that tell whether the process writing the file is still running."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_NAME = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.tmp", re.DOTALL)


def temporary_beside(target: Path) -> Path:
    """Return a unique hidden name in the target's folder that contains this machine's and process's ids."""
    return target.with_name(f".{target.name[:40]}.{_machine()}-{os.getpid()}-{os.urandom(8).hex()}.tmp")


def remove_abandoned(target: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote `target`.

    A file is kept if its process may still be writing: if it is running, or belongs to another machine or user.
    """
    with contextlib.suppress(OSError):  # a folder that cannot be listed is left as it is
        for path in list(target.parent.iterdir()):
            if path.name.startswith(f".{target.name[:40]}.") and is_abandoned(path):
                with contextlib.suppress(OSError):
                    path.unlink()


def is_abandoned(path: Path) -> bool:
    """Return True if `temporary_beside` named the file on this machine and its process is no longer running."""
    found = _NAME.fullmatch(path.name)
    return found is not None and found[1] == _machine() and not _may_run(int(found[2]))


def _machine() -> str:
    # Process ids are only meaningful on one machine, and several may share a folder. Imported here because only
    # writing needs these modules: reading starts faster without them.
    import hashlib
    import platform

    return hashlib.sha256(platform.node().encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _may_run(process: int) -> bool:
    if os.name != "posix":  # elsewhere `os.kill` could end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
