"""Copy arrays to the device and back, and hold the encoded text there.

Copies to the device go through a ring of pinned memory, so they do not wait for the device, and the caller's array may
change right away. Only `to_numpy` waits.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..protocol import Array
from .lazy_cupy import cp
from .modules import blocks_for, launch

RING = 2**23  # bytes of pinned memory
PIECE = RING // 4  # bytes of a large array copied at a time, so that filling one piece overlaps with sending others
ALIGNED = 512
TOKENS = ("uint8", "uint16", "uint32", "int32")  # dtypes of ids that `window` can read
SHARE = 4  # a text may take 1 / SHARE of the free memory
THREADS = 256


class _Piece(NamedTuple):
    """A byte range of the ring, and the event that follows its transfer."""

    first: int
    last: int
    sent: Any


class _Ring:
    """A ring buffer of pinned memory; a piece is free again when the device has read it."""

    def __init__(self, size: int) -> None:
        self.bytes = np.frombuffer(cp.cuda.alloc_pinned_memory(size), np.uint8, size)
        self.next = 0
        self.unread: collections.deque[_Piece] = collections.deque()  # oldest first

    def send(self, values: npt.NDArray[Any], to: Array) -> None:
        """Queue the copy of a flat array of at most `PIECE` bytes."""
        first = self.next if self.next + values.nbytes <= len(self.bytes) else 0
        last = first + values.nbytes
        while self.unread and self.unread[0].sent.done:
            self.unread.popleft()
        while any(piece.first < last and first < piece.last for piece in self.unread):
            self.unread.popleft().sent.synchronize()  # waits only if the device is a whole ring behind
        piece = self.bytes[first:last].view(values.dtype)
        piece[...] = values
        stream = cp.cuda.get_current_stream()
        to.set(piece, stream=stream)
        event = cp.cuda.Event(disable_timing=True)
        event.record(stream)
        self.unread.append(_Piece(first, last, event))
        self.next = -(-last // ALIGNED) * ALIGNED


@functools.cache
def _ring() -> _Ring:
    return _Ring(RING)


def _send(values: npt.NDArray[Any], to: Array) -> None:
    """Copy a flat array, which may be memory-mapped, to a device array of the same size and dtype."""
    entries = PIECE // values.itemsize
    for first in range(0, len(values), entries):
        _ring().send(values[first : first + entries], to[first : first + entries])


def asarray(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    """Return a copy of `values` on the device; a device array that changes its dtype is copied through the host."""
    if isinstance(values, cp.ndarray):
        if dtype is None or values.dtype == np.dtype(dtype):
            return values.copy()
        values = to_numpy(values)
    host = np.asarray(values, dtype, order="C")
    array = cp.empty(host.shape, host.dtype)
    _send(host.reshape(-1), array.reshape(-1))
    return array


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """Return a copy of `array` as a NumPy array, after waiting for all work queued before."""
    copied: npt.NDArray[Any] = array.get() if isinstance(array, cp.ndarray) else np.array(array)
    return copied


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike) -> Array:
    return cp.zeros(shape, dtype)


def hold(ids: npt.NDArray[np.integer[Any]]) -> Array | None:
    """Return the encoded text `ids (N,)` on the device, or None if it takes more than a quarter of the free memory.

    Also returns None for 64-bit ids; the caller may copy those window by window.
    """
    free, _ = cp.cuda.Device().mem_info
    if ids.dtype.name not in TOKENS or ids.nbytes > free // SHARE:
        return None
    text = cp.empty(ids.shape, ids.dtype)
    _send(ids, text)
    return text


def window(text: Array, starts: npt.NDArray[np.int64], length: int) -> tuple[Array, Array]:
    """Return inputs and targets, int32 (length, B) each: the windows of a held text at `starts (B)`."""
    B = len(starts)
    x, y = cp.empty((length, B), np.int32), cp.empty((length, B), np.int32)
    arguments = (text, asarray(starts, np.int64), np.int32(length), np.int32(B), x, y)
    grid = blocks_for(length * B, THREADS)
    launch("text", f"window_{text.dtype.name}", np.float32, grid, (THREADS,), arguments)
    return x, y
