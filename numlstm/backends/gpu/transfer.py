"""Arrays to the device and back, and the text that lies there.

What goes to the device passes through a ring of pinned memory, so that no copy waits for the device, and the caller's
array may change at once. Only `to_numpy` waits. Knows nothing about what the arrays mean.
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
PIECE = RING // 4  # bytes of a large array that are copied at a time, so that filling one and sending others overlap
ALIGNED = 512
TOKENS = ("uint8", "uint16", "uint32", "int32")  # what ids may be for `window` to read them
SHARE = 4  # a text may take this part of the memory that is free
THREADS = 256


class _Piece(NamedTuple):
    """Bytes of the ring, and an event: when they were sent."""

    first: int
    last: int
    sent: Any


class _Ring:
    """Pinned memory that is handed out round and round; a piece is free again when the device has read it."""

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
            self.unread.popleft().sent.synchronize()  # waits only where the device is a whole ring behind
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
    """Copy a flat array, which may be mapped from a file, to one of its size and dtype on the device."""
    entries = PIECE // values.itemsize
    for first in range(0, len(values), entries):
        _ring().send(values[first : first + entries], to[first : first + entries])


def asarray(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    """Return a copy of `values` on the device; to give a device array another dtype it is fetched first."""
    if isinstance(values, cp.ndarray):
        if dtype is None or values.dtype == np.dtype(dtype):
            return values.copy()
        values = to_numpy(values)
    host = np.asarray(values, dtype, order="C")
    array = cp.empty(host.shape, host.dtype)
    _send(host.reshape(-1), array.reshape(-1))
    return array


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """Return a copy of `array` as a NumPy array, when the device has done all that was queued before."""
    copied: npt.NDArray[Any] = array.get() if isinstance(array, cp.ndarray) else np.array(array)
    return copied


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike) -> Array:
    return cp.zeros(shape, dtype)


def hold(ids: npt.NDArray[np.integer[Any]]) -> Array | None:
    """Return the encoded text `ids (N,)` on the device, None where it takes more than a quarter of its free memory.

    None for ids of 64 bits as well, which the caller may hand over window by window.
    """
    free, _ = cp.cuda.Device().mem_info
    if ids.dtype.name not in TOKENS or ids.nbytes > free // SHARE:
        return None
    text = cp.empty(ids.shape, ids.dtype)
    _send(ids, text)
    return text


def window(text: Array, starts: npt.NDArray[np.int64], length: int) -> tuple[Array, Array]:
    """Return inputs and targets, int32 (length, B) each: windows of a held text from `starts (B)` on."""
    B = len(starts)
    x, y = cp.empty((length, B), np.int32), cp.empty((length, B), np.int32)
    arguments = (text, asarray(starts, np.int64), np.int32(length), np.int32(B), x, y)
    grid = blocks_for(length * B, THREADS)
    launch("text", f"window_{text.dtype.name}", np.float32, grid, (THREADS,), arguments)
    return x, y
