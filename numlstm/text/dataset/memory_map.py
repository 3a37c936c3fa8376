"""Ids that lie in a file and are read from there, as an array that takes no memory of its own.

Knows nothing about what the ids mean, or what else is in the file.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..vocab.base import Ids


def map_ids(file: BinaryIO, dtype: npt.DTypeLike, count: int) -> Ids:
    """Return the `count` ids at the start of a file as a read-only array, which outlives the file object."""
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), dtype)


def release(ids: npt.NDArray[Any]) -> None:
    """Give the memory back that holds what was read of mapped ids; for other arrays, do nothing.

    The system keeps the pages of a file in memory as long as it likes, but they count as the process's own until they
    are released. The ids stay readable.
    """
    owner: Any = ids
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError, ValueError):
            owner.madvise(mmap.MADV_DONTNEED)
