"""Dropout, and lookup and gradient of embedding rows: `kernels/masks.cu`.

The masks are exactly those of `numlstm/backends/spec/dropout.py`.
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
WARPS = 8  # per block, each with a row
SLICE = 128  # columns of an embedding that a warp adds to
LIST = 256  # the most rows that a warp lists before it adds them
FEW = 2048  # up to this many tokens, several warps share a token: otherwise there would be too few warps


def dropout(x: Array, mask: Mask, *, out: Array = None) -> Array:
    if not x.flags.c_contiguous:
        x = x.copy()
    if out is None or out.shape != x.shape or out.dtype != x.dtype or not out.flags.c_contiguous:
        out = cp.empty(x.shape, x.dtype)
    _masked("drop", (x, out), mask)
    return out


def factors(mask: Mask, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return the factors for an array of that shape, 0 or 1 / (1 - rate), on the device."""
    made = cp.empty(shape, dtype)
    _masked("factors", (made,), mask)
    return made


def _masked(kernel: str, arrays: tuple[Array, ...], mask: Mask) -> None:
    """Launch a kernel over arrays of the same size; a thread handles four entries, one counter of the mask."""
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
