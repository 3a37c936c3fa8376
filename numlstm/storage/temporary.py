"""Names for files that are being written, which tell later whether somebody still writes them.

Knows nothing about what is in them.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_NAME = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.tmp", re.DOTALL)


def temporary_beside(target: Path) -> Path:
    """Return a new name in the target's folder, hidden, that no other process will choose; it tells whose it is."""
    return target.with_name(f".{target.name[:40]}.{_machine()}-{os.getpid()}-{os.urandom(8).hex()}.tmp")


def remove_abandoned(target: Path) -> None:
    """Remove what processes that were killed while they wrote `target` have left beside it.

    A file is left alone if its process may be at work: if it runs, or belongs to another machine or user.
    """
    with contextlib.suppress(OSError):  # a folder that cannot be listed keeps what it has
        for path in list(target.parent.iterdir()):
            if path.name.startswith(f".{target.name[:40]}.") and is_abandoned(path):
                with contextlib.suppress(OSError):
                    path.unlink()


def is_abandoned(path: Path) -> bool:
    """Whether a file has a name that `temporary_beside` gave on this machine, and its process does not run."""
    found = _NAME.fullmatch(path.name)
    return found is not None and found[1] == _machine() and not _may_run(int(found[2]))


def _machine() -> str:
    # Process ids mean something on one machine only, and a folder may be shared by several. Imported here because only
    # writing needs them, and whoever only reads starts faster.
    import hashlib
    import platform

    return hashlib.sha256(platform.node().encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _may_run(process: int) -> bool:
    if os.name != "posix":  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
