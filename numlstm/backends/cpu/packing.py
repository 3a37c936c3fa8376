"""Weights as the kernels read them: panels of registers, filled up with zeros.

A gate panel holds the four gates of `lanes` units side by side, so that one tile computes all that these
units need and the cell update takes no second pass over memory. Padded units have zero weights, so their
state stays zero. Knows nothing about time, batches or threads.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from .jit import kernel
from .product import TILE_WIDTH
from .simd import lanes

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class PackedLSTM:
    """One layer's weights, packed in P = ceil(H / lanes) gate panels, 4 P lanes columns in all.

    `start` holds what the gates start from: b + W_x[d] for each token d, (D, P, 4, lanes), or b alone,
    (1, P, 4, lanes), where the input is activations. `W_x (P, D, 4, lanes)` is empty for tokens.
    `W_h (P, H, 4, lanes)`. `W_x_T`, `W_h_T (panels, columns, panel width)` serve the way back.
    """

    input_size: int
    hidden_size: int
    tokens: bool
    start: Array
    W_x: Array
    W_h: Array
    W_x_T: Array
    W_h_T: Array

    @property
    def lanes(self) -> int:
        return int(self.start.shape[3])


@dataclasses.dataclass(frozen=True)
class PackedDense:
    """A dense layer: `W (panels, H, width)`, `b (panels, width)` and `W_T (panels, V, width)`, for the way back."""

    W: Array
    b: Array
    W_T: Array
    no_bias: Array

    @property
    def lanes(self) -> int:
        return int(self.W.shape[2]) // TILE_WIDTH


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array of zeros that starts at a cache line: a register's load should not straddle two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw: Array = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return np.reshape(raw[start : start + size].view(dtype), shape)


def panels(size: int, width: int) -> int:
    """Return how many panels of `width` cover `size`."""
    return -(-size // width)


def new_lstm(input_size: int, hidden_size: int, tokens: bool, dtype: Any) -> PackedLSTM:
    """Return an empty `PackedLSTM` for `input_size` tokens or activations."""
    D, H, VL = input_size, hidden_size, lanes(np.dtype(dtype).itemsize)
    P, width = panels(H, VL), TILE_WIDTH * VL
    dense_inputs = 0 if tokens else D
    return PackedLSTM(
        input_size=D,
        hidden_size=H,
        tokens=tokens,
        start=aligned((D if tokens else 1, P, 4, VL), dtype),
        W_x=aligned((P, dense_inputs, 4, VL), dtype),
        W_h=aligned((P, H, 4, VL), dtype),
        W_x_T=aligned((panels(dense_inputs, width), P * 4 * VL, width), dtype),
        W_h_T=aligned((panels(H, width), P * 4 * VL, width), dtype),
    )


def new_dense(input_size: int, output_size: int, dtype: Any) -> PackedDense:
    """Return an empty `PackedDense` for (H, V) = (`input_size`, `output_size`)."""
    H, V, width = input_size, output_size, TILE_WIDTH * lanes(np.dtype(dtype).itemsize)
    return PackedDense(
        W=aligned((panels(V, width), H, width), dtype),
        b=aligned((panels(V, width), width), dtype),
        W_T=aligned((panels(H, width), V, width), dtype),
        no_bias=aligned((panels(H, width), width), dtype),
    )


@kernel
def pack_start(W_x, b, tokens, out):
    """out (V or 1, P, 4, lanes) = W_x (V, 4H) + b (4H) for tokens, else b."""
    H = b.shape[0] // 4
    VL = out.shape[3]
    for d in range(out.shape[0]):
        for p in range(out.shape[1]):
            for gate in range(4):
                for u in range(min(VL, H - p * VL)):
                    column = gate * H + p * VL + u
                    out[d, p, gate, u] = b[column] + W_x[d, column] if tokens else b[column]


@kernel
def pack_gates(W, out):
    """out (P, K, 4, lanes) = the gate panels of W (K, 4H)."""
    H = W.shape[1] // 4
    VL = out.shape[3]
    for p in range(out.shape[0]):
        for k in range(out.shape[1]):
            for gate in range(4):
                for u in range(min(VL, H - p * VL)):
                    out[p, k, gate, u] = W[k, gate * H + p * VL + u]


@kernel
def pack_gates_transposed(W, VL, out):
    """out (panels, columns, width) = the panels of W.T for W (K, 4H), its rows in the order of gate panels."""
    H = W.shape[1] // 4
    for q in range(out.shape[0]):
        for p in range(out.shape[1] // (4 * VL)):
            for gate in range(4):
                for u in range(min(VL, H - p * VL)):
                    for n in range(min(out.shape[2], W.shape[0] - q * out.shape[2])):
                        row = (p * 4 + gate) * VL + u
                        out[q, row, n] = W[q * out.shape[2] + n, gate * H + p * VL + u]


@kernel
def pack_dense(W, b, out, out_b, out_T):
    """Fill the three arrays of a `PackedDense` from W (H, V) and b (V)."""
    H, V = W.shape
    width = out.shape[2]
    for v in range(V):
        out_b[v // width, v % width] = b[v]
    for h in range(H):
        for v in range(V):
            out[v // width, h, v % width] = W[h, v]
            out_T[h // width, v, h % width] = W[h, v]
