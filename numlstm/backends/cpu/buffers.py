"""The kernels' working memory: the tape that a forward pass leaves for the backward pass, and scratch space.

Allocated once for each shape, then reused.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from .packing import PackedLSTM, aligned, panels, row_size
from .processor import lanes
from .product import BLOCK, TILE_WIDTH

Array = npt.NDArray[Any]


def hidden(steps: int, B: int, packed: PackedLSTM) -> tuple[Array, Array]:
    """Return memory for h over `steps` steps, (steps, B, at least P lanes), and for its form that products read."""
    units, dtype = packed.W_h.shape[0] * packed.lanes, packed.start.dtype
    h = aligned((steps, B, row_size(units, dtype)), dtype)
    return h, aligned((steps, B, row_size(units // 2, np.int32)), np.int32) if packed.pairs else h


def with_row_padding(a: Array) -> Array:
    """Return `a (..., K)` as a contiguous array, with the padding between its rows as further columns.

    Numba then sees one type for all activations and compiles once. An array with another layout is copied.
    """
    rows = a.strides[-2] // a.itemsize
    packed = tuple(int(np.prod(a.shape[n + 1 : -1])) * rows * a.itemsize for n in range(a.ndim - 1))
    if a.flags.c_contiguous or a.strides != (*packed, a.itemsize) or rows < a.shape[-1]:
        return np.ascontiguousarray(a)
    return np.lib.stride_tricks.as_strided(a, (*a.shape[:-1], rows))


def whole_rows_for(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return memory for activations of that shape, with rows padded to `row_size`."""
    return aligned((*shape[:-1], row_size(shape[-1], dtype)), dtype)


def set_cells(c: Array, values: Array) -> None:
    """Set c (P, B, lanes) to values (B, H)."""
    B, H = values.shape
    filled = np.zeros((B, c.shape[0] * c.shape[2]), c.dtype)
    filled[:, :H] = values
    c[...] = filled.reshape(B, c.shape[0], -1).transpose(1, 0, 2)


def get_cells(c: Array, H: int) -> Array:
    """Return c (P, B, lanes) as a new array (B, H)."""
    rows: Array = np.ascontiguousarray(c.transpose(1, 0, 2)).reshape(c.shape[1], -1)
    return np.array(rows[:, :H])


class Tape:
    """What a forward pass saves for the backward pass, in buffers that the next pass of the same shape reuses.

    The backward pass consumes it: the gates are overwritten by their gradients.
    """

    def __init__(self, T: int, B: int, packed: PackedLSTM) -> None:
        dtype, P, VL = packed.start.dtype, packed.W_h.shape[0], packed.lanes
        self.shape = (T, B)
        self.ids, self.x = np.zeros((T, B), np.int32), np.zeros((T, B, 0), dtype)
        D = 0 if packed.tokens else packed.input_size
        self.x_pairs = aligned((T, B, row_size(panels(D, VL) * VL // 2, np.int32)), np.int32) if packed.pairs else None
        self.h, self.operand = hidden(T + 1, B, packed)
        self.c = aligned((P, T + 1, B, VL), dtype)
        # One step more than needed: otherwise panels would be a power of two apart and map to few cache sets. The extra
        # step is not sliced off, so the arrays are contiguous for any number of panels and kernels are compiled once.
        self.tanh_c = aligned((P, T + 1, B, VL), dtype)
        self.gates = aligned((P, T + 1, B, TILE_WIDTH * VL), dtype)
        self.backward: BackwardBuffers | None = None

    def read(self, x: Array, tokens: bool) -> None:
        """Set the layer's input: token ids (T, B), or activations (T, B, D), which are referenced, not copied."""
        if tokens:
            self.ids = np.ascontiguousarray(x, np.int32)
        else:
            self.x = with_row_padding(x)

    @property
    def dz(self) -> Array:
        """The gates' memory, viewed in the dtype in which the backward pass stores their gradients."""
        return self.gates.view(self.operand.dtype)


class BackwardBuffers:
    """The memory of a backward pass."""

    def __init__(self, tape: Tape, packed: PackedLSTM) -> None:
        (T, B), dtype = tape.shape, packed.start.dtype
        P, VL = tape.c.shape[0], packed.lanes
        self.dx = np.zeros((T, B, 0 if packed.tokens else packed.input_size), dtype)
        self.dh_next = aligned((B, P * VL), dtype)
        self.dc_next = aligned((P, B, VL), dtype)


@functools.lru_cache(maxsize=4)
class GradientBuffers:
    """Scratch space for weight gradients (see `gradients.py`), shared by all layers of the same shape.

    `sizes` are the widths of the left-hand matrices, 0 for token ids, which are below `rows`; `columns` is the number
    of panels of the right-hand matrix.
    """

    def __init__(
        self, sizes: tuple[int, ...], columns: int, dtype: Any, pairs: bool, shards: int, rows: int = 0
    ) -> None:
        VL, block, kind = lanes(np.dtype(dtype).itemsize), BLOCK // (1 + pairs), np.int32 if pairs else dtype
        self.zeros = np.zeros(BLOCK, np.int32)
        self.slabs = [aligned((shards, panels(size, VL), block, VL), kind) for size in sizes]
        self.panels = aligned((shards, block, TILE_WIDTH * VL), kind)
        heights = [panels(size, VL) * VL or rows for size in sizes]
        self.sums = [aligned((columns, height, TILE_WIDTH * VL), dtype) for height in (*heights, 1)]
        self.parts = -(-shards // columns)


class StepBuffers:
    """The memory of one layer during generation, initialised with the state (h0, c0)."""

    def __init__(self, packed: PackedLSTM, h0: Array, c0: Array) -> None:
        (B, H), P, VL, dtype = h0.shape, packed.W_h.shape[0], packed.lanes, packed.start.dtype
        self.h, self.operand = hidden(2, B, packed)
        self.c, self.tanh_c = aligned((P, B, VL), dtype), aligned((P, B, VL), dtype)
        self.gates = aligned((P, B, TILE_WIDTH * VL), dtype)
        self.h[0, :, :H] = h0
        set_cells(self.c, c0)
