"""How many cores this process may use, found before Numba starts as many threads.

A container may be limited to one core of a machine with 64; Numba counts all that the process may run on, and as many
threads would stand in each other's way. Import this before numba.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable() -> int:
    """Return the cores that the process may run on, or fewer where a container's quota or OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    most = int(wanted) if wanted.strip().isdecimal() else cores
    return max(1, math.ceil(min(cores, most, quota())))


def quota(groups: Path = _CONTROL_GROUPS, own: Path = _OWN_GROUPS) -> float:
    """Return how many cores' time the process's control groups allow it; infinite if there is no limit.

    A limit on a group holds for those within it, so all from the process's own to the root are asked. Both versions of
    Linux's interface are read: `cpu.max` holds quota and period, in microseconds; the older one has a file for each.
    """
    least = math.inf
    for folder in _own_folders(groups, own):
        limit = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(limit) == 2 and all(word.isdecimal() for word in limit):  # no limit is "max" or -1
            microseconds, period = map(int, limit)
            least = min(least, microseconds / period if period else math.inf)
    return least


def _own_folders(groups: Path, own: Path) -> list[Path]:
    """Return the folders that may limit the process; within a container the root of `groups` is its own group."""
    found = [groups, groups / "cpu"]
    for line in _words(own):  # 0::/path in the new version, 3:cpu,cpuacct:/path in the older one
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers or "cpu" in controllers.split(","):
            group = (groups / "cpu" if controllers else groups) / path.strip("/")
            found += [group, *(parent for parent in group.parents if groups in parent.parents)]
    return found


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, ValueError):
        return []


if "numba" not in sys.modules:
    os.environ.setdefault("NUMBA_NUM_THREADS", str(usable()))
