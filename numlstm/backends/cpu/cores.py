"""The number of cores that this process may use, set before Numba starts its threads.

A container may be limited to one core of a machine with 64. Numba counts all cores that the process may run on, and
that many threads would compete for the one. Import this module before numba.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Return the number of cores that the process may run on, limited by a container's quota and OMP_NUM_THREADS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    most = int(wanted) if wanted.strip().isdecimal() else cores
    return max(1, math.ceil(min(cores, most, quota())))


def quota(groups: Path = _CONTROL_GROUPS, own: Path = _OWN_GROUPS) -> float:
    """Return the CPU time that the process's control groups allow, in cores; infinity if there is no limit.

    A group's limit applies to the groups within it, so all groups from the process's own to the root are read. Both
    versions of the Linux interface work: `cpu.max` holds quota and period, in microseconds; the older version has a
    file for each.
    """
    least = math.inf
    for folder in _own_folders(groups, own):
        limit = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(limit) == 2 and all(word.isdecimal() for word in limit):  # "max" or -1 means no limit
            microseconds, period = map(int, limit)
            least = min(least, microseconds / period if period else math.inf)
    return least


def _own_folders(groups: Path, own: Path) -> list[Path]:
    """Return the folders that may limit the process. In a container the root of `groups` is the container's group."""
    found = [groups, groups / "cpu"]
    for line in _words(own):  # 0::/path in the new version, 3:cpu,cpuacct:/path in the older
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
    os.environ.setdefault("NUMBA_NUM_THREADS", str(usable_cores()))
