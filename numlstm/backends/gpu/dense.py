"""The dense output layer and the softmax cross-entropy above it.

cuBLAS computes the products, `kernels/dense.cu` the rest. N rows, each one position of one stream; H inputs; V outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..protocol import Array
from . import columns
from .device_numbers import SUMS, SUMS_SHARED, Number
from .lazy_cupy import cp
from .modules import launch
from .products import multiply

ROWS = 8  # per block, if each warp has a row
WIDE = 1024  # from this many columns on, each row has a block of its own


class PackedDense(NamedTuple):
    """The layer's weights, W (H, V) and b (V), used in place without a packed copy."""

    weights: tuple[Array, Array]

    def mark_stale(self) -> None:
        """Do nothing after an update: the weights are used in place."""


def pack_dense(W: Array, b: Array, *, precision: str = "", packed: Any = None) -> PackedDense:
    return PackedDense((W, b))


def dense_forward(h: Array, packed: PackedDense, *, out: Array = None) -> Array:
    W, b = packed.weights
    (N, V), dtype = (len(h), len(b)), b.dtype
    if out is None or out.shape != (N, V) or out.dtype != dtype or not out.flags.c_contiguous:
        out = cp.empty((N, V), dtype)
    multiply(h, W, out)
    launch("dense", "add_bias", dtype, (-(-N // ROWS),), (32, ROWS), (out, b, np.int32(N), np.int32(V)))
    return out


def dense_backward(dlogits: Array, h: Array, packed: PackedDense, dW: Array, db: Array) -> Array:
    W, _ = packed.weights
    multiply(h.T, dlogits, dW, add=True)  # logits = h @ W + b
    columns.add_column_sums(dlogits, db)  # logits = h @ W + b
    dh = cp.empty(h.shape, h.dtype)
    multiply(dlogits, W.T, dh)  # logits = h @ W + b
    return dh


def softmax_cross_entropy(logits: Array, targets: Array, *, scale: Array = None) -> tuple[Number, Array]:
    """Return the mean loss in nats and its gradient (N, V), times scale[0] if given, which overwrites the logits."""
    (N, V), dtype = logits.shape, logits.dtype
    losses, factor = cp.empty(N, dtype), cp.empty(1, dtype)
    if scale is not None:
        launch("sums", "share_of_scale", dtype, (1,), (1,), (scale, np.int32(N), factor))
    grid, block = ((N,), (32 * ROWS, 1)) if V >= WIDE else ((-(-N // ROWS),), (32, ROWS))
    sizes = np.int32(N), np.int32(V), dtype.type(1 / N)
    arguments = (logits, targets, losses, *sizes, factor, np.int32(scale is not None))
    launch("dense", "cross_entropy", dtype, grid, block, arguments, shared=2 * ROWS * dtype.itemsize)
    loss = Number()
    launch("sums", "mean", dtype, (1,), SUMS, (losses, np.int32(N), loss.array), shared=SUMS_SHARED)
    return loss, logits
