"""Memory-mapped token ids: an array that is read from a file and takes no memory of its own."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..vocab.base import Ids


def map_ids(file: BinaryIO, dtype: npt.DTypeLike, count: int) -> Ids:
    """Return the first `count` ids of a file as a read-only array, which outlives the file object."""
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), dtype)


def release(ids: npt.NDArray[Any]) -> None:
    """Release the memory of mapped ids that were read; do nothing for other arrays.

    The system may keep the file's pages cached, but they count as the process's own memory until they are released. The
    ids stay readable.
    """
    owner: Any = ids
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError, ValueError):
            owner.madvise(mmap.MADV_DONTNEED)
