"""Dropout, and rows of an embedding picked and added to: `kernels/masks.cu`.

The masks are those of `numlstm/backends/spec/dropout.py`, word for word. Knows nothing about layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol import Array
from ..spec.dropout import Mask
from .lazy_cupy import cp
from .modules import blocks_for, launch

THREADS = 256
WARPS = 8  # of a block whose warps have a row each
SLICE = 128  # columns of an embedding that a warp adds to at a time
LIST = 256  # rows that a warp notes before it adds them
FEW = 2048  # up to so many tokens there are not warps enough unless several share a token


def dropout(x: Array, mask: Mask, *, out: Array = None) -> Array:
    if not x.flags.c_contiguous:
        x = x.copy()
    if out is None or out.shape != x.shape or out.dtype != x.dtype or not out.flags.c_contiguous:
        out = cp.empty(x.shape, x.dtype)
    _masked("drop", (x, out), mask)
    return out


def factors(mask: Mask, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return what the entries of an array of that shape are multiplied by, 0 or 1 / (1 - rate), on the device."""
    made = cp.empty(shape, dtype)
    _masked("factors", (made,), mask)
    return made


def _masked(kernel: str, arrays: tuple[Array, ...], mask: Mask) -> None:
    """Launch a kernel over arrays of one size, of which a thread takes four entries: one counter of the mask."""
    size, dtype = arrays[0].size, arrays[0].dtype
    words = [np.uint32(word) for word in (*mask.counter, *mask.key)]
    arguments = (*arrays, np.int64(size), np.uint64(mask.threshold), dtype.type(1 / (1 - mask.rate)), *words)
    launch("masks", kernel, dtype, blocks_for(-(-size // 4), THREADS), (THREADS,), arguments)


def embed(ids: Array, W: Array) -> Array:
    E = W.shape[1]
    x = cp.empty((*ids.shape, E), W.dtype)
    arguments: tuple[Any, ...] = (ids, W, x, np.int64(ids.size), np.int32(E))
    launch("masks", "pick", W.dtype, (-(-ids.size // WARPS),), (32, WARPS), arguments)
    return x


def embed_backward(dx: Array, ids: Array, dW: Array) -> None:
    V, E = dW.shape
    split = WARPS if V <= FEW else 1  # warps that share a token's rows
    grid = -(-V * split // WARPS), -(-E // SLICE)
    shared = WARPS * (SLICE * dW.itemsize + LIST * 4)
    sizes = np.int32(ids.size), np.int32(V), np.int32(E), np.int32(split)
    launch("masks", "add_picked", dW.dtype, grid, (32, WARPS), (dx, ids, dW, *sizes), shared=shared)
