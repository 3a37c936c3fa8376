"""Layers with bf16 products in tiles: the kernels' memory, and how many shards they are called with."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from . import recurrence, tile_dense, tile_gradients, tile_recurrence
from .buffers import get_cells, set_cells, with_row_padding
from .jit import COUNTER_SIZE, can_meet
from .packing import PackedDense, PackedLSTM, aligned, row_size
from .threads import shards as shards_of
from .tiles import COLUMNS, PALETTES, PANEL_ROW, ROWS

Array = npt.NDArray[Any]
State = tuple[Array, Array]

_PANEL = PANEL_ROW // 4  # columns


def _room(size: int) -> int:
    """Return the padded length of a row of float32 sums: whole panels, because a tile stores all of its columns."""
    return row_size(-(-size // _PANEL) * _PANEL, np.float32) if size else 0


def _pair_row_size(size: int) -> int:
    """Return the padded length of a row of bf16 pairs: whole tiles of 32 numbers."""
    return row_size(COLUMNS * -(-size // (2 * COLUMNS)), np.int32) if size else 0


def _meeting_shards(most: int) -> int:
    shards = shards_of(most)
    return shards if can_meet(shards) else 1


def _flags(shards: int) -> npt.NDArray[np.int64]:
    return np.zeros((shards, COUNTER_SIZE), np.int64)


class TileTape:
    """What a forward pass saves for the backward pass; the next pass of the same shape reuses it."""

    def __init__(self, T: int, B: int, packed: PackedLSTM) -> None:
        P, D = packed.W_h.shape[0], 0 if packed.tokens else packed.input_size
        self.shape = (T, B)
        self.ids = np.zeros((T, B), np.int32)
        self.x = aligned((T, B, _pair_row_size(D)), np.int32)
        self.h = aligned((T + 1, B, _room(P * COLUMNS)), np.float32)
        self.operand = aligned((T + 1, B, _pair_row_size(P * COLUMNS)), np.int32)
        # One step more than needed, as in `buffers.Tape`.
        self.gates = aligned((P, T + 1, B, 2 * COLUMNS), np.int32)
        self.tanh_c = aligned((P, T + 1, B, COLUMNS // 2), np.int32)
        self.c = aligned((P, T + 1, B, COLUMNS), np.float32)
        self.dx = aligned((T, B, _room(D)), np.float32)
        self.dh_next, self.dc_next = aligned((B, _room(P * COLUMNS)), np.float32), aligned((P, B, COLUMNS), np.float32)


@functools.lru_cache(maxsize=4)
class _GradientSpace:
    """Scratch memory of the weight gradients, shared by all layers of the same shape."""

    def __init__(self, N: int, D: int, H: int, P: int, shards: int, tokens: int) -> None:
        self.slabs = [aligned(tile_gradients.slab_shape(N, size), np.int32) for size in (D, H)]
        self.panels = aligned((shards, tile_gradients.BLOCK // 2, _PANEL), np.int32)
        heights = (self.slabs[0].shape[1] * ROWS or tokens, self.slabs[1].shape[1] * ROWS, 1)
        self.sums = [aligned((P, height, _PANEL), np.float32) for height in heights]


@functools.lru_cache(maxsize=4)
class _DenseSpace:
    """Scratch memory of the output layer: z, both operands as bf16 numbers, and that of its gradients."""

    def __init__(self, N: int, H: int, V: int, shards: int) -> None:
        self.z = aligned((shards, tile_recurrence.GROUP, _PANEL), np.float32)
        self.h = aligned((N, _pair_row_size(H)), np.int32)
        self.dlogits = aligned((N, _pair_row_size(-(-V // _PANEL) * _PANEL)), np.int32)
        self.slabs = aligned(tile_gradients.slab_shape(N, H), np.int32)
        self.panels = aligned((shards, tile_gradients.BLOCK // 2, _PANEL), np.int32)
        self.sums = aligned((-(-V // _PANEL), self.slabs.shape[1] * ROWS, _PANEL), np.float32)


def _grid(B: int, packed: PackedLSTM) -> tuple[int, int]:
    """Return how many shards there are, and how many of them share the columns."""
    threads = shards_of()
    if not can_meet(threads):
        return min(threads, -(-B // ROWS)), 1
    weights = packed.W_x.nbytes + packed.W_h.nbytes
    rows, columns = tile_recurrence.grid(B, weights, packed.W_h_T.shape[0], threads)
    return rows * columns, columns


def forward(x: Array, packed: PackedLSTM, h0: Array, c0: Array, tape: Any) -> tuple[Array, State, TileTape]:
    """Compute a layer; arguments and results are those of `Backend.lstm_forward`."""
    (T, B), H = x.shape[:2], packed.hidden_size
    if not isinstance(tape, TileTape) or tape.shape != (T, B):
        tape = TileTape(T, B, packed)
    if packed.tokens:
        tape.ids = np.ascontiguousarray(x, np.int32)
    else:
        rows = with_row_padding(x).reshape(T * B, -1)
        recurrence.as_pairs(rows, tape.x.reshape(T * B, -1), shards=shards_of())
    tape.h[0, :, :H] = h0
    recurrence.as_pairs(tape.h[0], tape.operand[0], shards=1)
    set_cells(tape.c[:, 0], c0)
    shards, columns = _grid(B, packed)
    tile_recurrence.forward(
        PALETTES,
        _flags(shards),
        columns,
        tape.ids,
        tape.x,
        packed.start,
        packed.W_x,
        packed.W_h,
        aligned((shards, tile_recurrence.GROUP, _PANEL), np.float32),
        tape.gates,
        tape.c,
        tape.tanh_c,
        tape.h,
        tape.operand,
        shards=shards,
    )
    return tape.h[1:, :, :H], (tape.h[-1, :, :H].copy(), get_cells(tape.c[:, -1], H)), tape


def backward(
    dh: Array, packed: PackedLSTM, tape: TileTape, dW_x: Array, dW_h: Array, db: Array
) -> tuple[Array | None, Array, Array]:
    """Compute a layer's gradients; arguments and results are those of `Backend.lstm_backward`."""
    (T, B), H, D = tape.shape, packed.hidden_size, 0 if packed.tokens else packed.input_size
    tape.dh_next[...], tape.dc_next[...] = 0, 0
    shards, columns = _grid(B, packed)
    tile_recurrence.backward(
        PALETTES,
        _flags(shards),
        columns,
        with_row_padding(dh),
        tape.gates,
        tape.c,
        tape.tanh_c,
        packed.W_h_T,
        packed.W_x_T,
        tape.dx,
        tape.dh_next,
        tape.dc_next,
        H,
        shards=shards,
    )
    P = packed.W_h.shape[0]
    shards = _meeting_shards(P)
    space = _GradientSpace(T * B, D, H, P, shards, packed.input_size)
    tile_gradients.add_gate_gradients(
        PALETTES,
        _flags(shards),
        tape.ids.reshape(-1),
        tape.x.reshape(T * B, -1),
        tape.operand[:-1].reshape(T * B, -1),
        *space.slabs,
        tape.gates.reshape(P, (T + 1) * B, -1),
        dW_x,
        dW_h,
        db[None],
        space.panels,
        *space.sums,
        shards=shards,
    )
    return tape.dx[..., :D] if D else None, tape.dh_next[:, :H].copy(), get_cells(tape.dc_next, H)


def dense_forward(h: Array, packed: PackedDense, out: Array) -> None:
    """out (N, V) = h (N, H) @ W + b."""
    (N, H), shards = h.shape, shards_of()
    space = _DenseSpace(N, H, out.shape[1], shards)
    tile_dense.multiply(
        PALETTES, with_row_padding(h), space.h, packed.W, packed.weights[1], space.z, out, shards=shards
    )


def dense_backward(dlogits: Array, h: Array, packed: PackedDense, dW: Array, db: Array) -> Array:
    """Compute the output layer's gradients; arguments and result are those of `Backend.dense_backward`."""
    (N, H), V = h.shape, dlogits.shape[1]
    space, dh = _DenseSpace(N, H, V, shards_of()), np.empty((N, H), np.float32)
    nothing = np.zeros(H, np.float32)
    tile_dense.multiply(PALETTES, dlogits, space.dlogits, packed.W_T, nothing, space.z, dh, shards=shards_of())
    recurrence.as_pairs(with_row_padding(h), space.h, shards=shards_of())
    shards = _meeting_shards(len(space.sums))
    tile_dense.add_gradients(
        PALETTES,
        _flags(shards),
        space.h,
        space.slabs,
        dlogits,
        space.dlogits,
        space.panels,
        space.sums,
        dW,
        db[None],
        shards=shards,
    )
    return dh
