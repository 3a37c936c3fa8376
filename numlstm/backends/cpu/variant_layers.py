"""Layers with layer norm, a projection, hard gates or recurrent dropout: their memory and the calls of their kernels.

`forward`, `backward` and `generate` do for such layers what `lstm_forward`, `lstm_backward` and `generate` in
`__init__.py` do for plain ones. The kernels are in `variant_kernels.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..spec.dropout import Mask
from ..spec.sampling import Sampling
from ..spec.variant import Variant
from . import choice, gradients
from . import variant_kernels as kernels
from .buffers import GradientBuffers, get_cells, set_cells, with_row_padding
from .packing import (
    PackedDense,
    PackedLSTM,
    aligned,
    dense_as_float32,
    from_panels,
    lstm_as_float32,
    panels,
    row_size,
)
from .product import TILE_WIDTH
from .variant_kernels import Steps, Weights

Array = npt.NDArray[Any]


class Tape:
    """What a forward pass saves, in buffers that the next pass of the same shape and kind reuses."""

    def __init__(self, T: int, B: int, packed: PackedLSTM, masked: bool) -> None:
        dtype, P, VL = packed.start.dtype, packed.W_h.shape[0], packed.lanes
        variant = packed.variant
        normed, projected = (0, False) if variant is None else (int(variant.gain.size > 0), variant.W_p is not None)
        R, units = packed.W_h.shape[1], P * VL
        self.shape, self.masked = (T, B), masked
        self.ids, self.x = np.zeros((T, B), np.int32), np.zeros((T, B, 0), dtype)
        h = aligned((T + 1, B, row_size(R if projected else units, dtype)), dtype)
        wide = (P * normed, T + 1, B)
        self.steps = Steps(
            gates=aligned((P, T + 1, B, TILE_WIDTH * VL), dtype),
            n=aligned((*wide, TILE_WIDTH * VL), dtype),
            scale=aligned((T + 1, B, TILE_WIDTH), dtype),
            c=aligned((P, T + 1, B, VL), dtype),
            n_c=aligned((*wide, VL), dtype),
            c_scale=aligned((T + 1, B, 1), dtype),
            tanh_c=aligned((P, T + 1, B, VL), dtype),
            m=aligned((T, B, row_size(units, dtype)), dtype) if projected else h[1:],
            h=h,
            seen=aligned(h.shape, dtype) if masked else h,
        )
        self.weights: Weights | None = None
        self.packed: PackedLSTM | None = None  # of the last forward pass, for float32 products

    def start(self, x: Array, packed: PackedLSTM, h0: Array, c0: Array, mask: Mask | None) -> None:
        """Set the layer's input, token ids (T, B) or activations (T, B, D), its initial state and its mask."""
        if packed.tokens:
            self.ids = np.ascontiguousarray(x, np.int32)
        else:
            self.x = with_row_padding(x)
        R, dtype = packed.W_h.shape[1], packed.start.dtype
        factors = np.empty((0, R), dtype) if mask is None else mask.factors((self.shape[1], R), dtype)
        self.steps.h[0, :, :R] = h0
        if mask is not None:
            self.steps.seen[0, :, :R] = h0 * factors
        set_cells(self.steps.c[:, 0], c0)
        self.weights = weights(packed, factors)


def weights(packed: PackedLSTM, mask: Array) -> Weights:
    """Return a layer's weights in the form that the kernels take."""
    dtype, VL = packed.start.dtype, packed.lanes
    variant = packed.variant
    no_panels, no_norm = np.empty((0, 0, TILE_WIDTH * VL), dtype), np.empty((0, VL), dtype)
    W_p = no_panels if variant is None or variant.W_p is None else variant.W_p.W
    norm = (no_norm,) * 4 if variant is None else (variant.gain, variant.b, variant.c_gain, variant.c_bias)
    hard = int(variant is not None and variant.hard)
    return Weights(packed.start, packed.W_x, packed.W_h, W_p, *norm, mask, packed.hidden_size, hard)


def forward(
    x: Array, packed: PackedLSTM, h0: Array, c0: Array, mask: Mask | None, tape: Any, shards: int
) -> tuple[Array, tuple[Array, Array], Tape]:
    T, B = x.shape[:2]
    if not isinstance(tape, Tape) or tape.shape != (T, B) or tape.masked != (mask is not None):
        tape = Tape(T, B, packed, mask is not None)
    packed = tape.packed = lstm_as_float32(packed, shards, tape.packed)
    tape.start(x, packed, h0, c0, mask)
    kernels.forward(tape.ids, tape.x, tape.weights, tape.steps, shards=shards)
    h, R = tape.steps.h, packed.W_h.shape[1]
    return h[1:, :, :R], (h[-1, :, :R].copy(), get_cells(tape.steps.c[:, -1], packed.hidden_size)), tape


def backward(
    dh: Array, packed: PackedLSTM, tape: Tape, dW_x: Array, dW_h: Array, db: Array, dvariant: Variant, shards: int
) -> tuple[Array | None, Array, Array]:
    packed = tape.packed or packed
    (T, B), steps, dtype = tape.shape, tape.steps, packed.start.dtype
    P, VL, R = packed.W_h.shape[0], packed.lanes, packed.W_h.shape[1]
    D = 0 if packed.tokens else packed.input_size
    W_p = None if packed.variant is None else packed.variant.W_p
    rows = min(B, shards)
    dr = np.zeros((T, B, R if W_p else P * VL), dtype)
    sums, c_sums = np.zeros((rows, 2, P, TILE_WIDTH * VL), dtype), np.zeros((rows, 2, P, VL), dtype)
    dc_next, dh_next, dx = np.zeros((P, B, VL), dtype), np.zeros((B, R), dtype), np.empty((T, B, D), dtype)
    kernels.backward(
        np.ascontiguousarray(dh),
        tape.weights,
        steps,
        np.empty((0, 0, TILE_WIDTH * VL), dtype) if W_p is None else W_p.W_T,
        packed.W_h_T,
        packed.W_x_T,
        dr,
        np.zeros((1, B, P * VL), dtype) if W_p else dr,
        np.empty_like(steps.tanh_c),
        dc_next,
        dh_next,
        dx,
        sums,
        c_sums,
        shards=rows,
    )
    _add_weight_gradients(packed, tape, dW_x, dW_h, np.zeros_like(db) if packed.normed else db, shards)
    if packed.normed:
        for into, part in ((dvariant.gain, sums[:, 0]), (db, sums[:, 1])):
            into += from_panels(part.sum(axis=0), into.size)
        for into, part in ((dvariant.c_gain, c_sums[:, 0]), (dvariant.c_bias, c_sums[:, 1])):
            into += from_panels(part.sum(axis=0), into.size)
    if W_p is not None:
        _add_projection_gradient(W_p, steps.m, dr, dvariant.W_p, shards)
    return None if packed.tokens else dx, dh_next, get_cells(dc_next, packed.hidden_size)


def _add_weight_gradients(packed: PackedLSTM, tape: Tape, dW_x: Array, dW_h: Array, db: Array, shards: int) -> None:
    (T, B), P, R, dtype = tape.shape, packed.W_h.shape[0], packed.W_h.shape[1], packed.start.dtype
    D = 0 if packed.tokens else packed.input_size
    space = GradientBuffers((D, R), P, dtype, False, shards, rows=packed.input_size)
    gradients.add_gate_gradients(
        tape.ids.reshape(-1),
        tape.x.reshape(T * B, -1) if D else np.empty((T * B, 0), dtype),
        tape.steps.seen[:-1].reshape(T * B, -1),
        tape.steps.gates.reshape(P, (T + 1) * B, -1),
        dW_x,
        dW_h,
        db[None],
        space.zeros,
        *space.slabs,
        space.panels,
        *space.sums,
        space.parts,
        shards=shards,
    )


def _add_projection_gradient(W_p: PackedDense, m: Array, dr: Array, dW_p: Array, shards: int) -> None:
    """dW_p (H, R) += m.T @ dr, over all rows of m and dr (T, B, ...)."""
    (H, R), dtype = dW_p.shape, dW_p.dtype
    space = GradientBuffers((H,), panels(R, W_p.W.shape[2]), dtype, False, shards)
    gradients.add_dense_gradients(
        m.reshape(-1, m.shape[-1]),
        dr.reshape(-1, R),
        dW_p,
        np.zeros((1, R), dtype),
        space.zeros,
        *space.slabs,
        space.panels,
        *space.sums,
        space.parts,
        shards=shards,
    )


def generate(
    layers: Sequence[PackedLSTM],
    output: PackedDense,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: npt.NDArray[np.float64],
    sampling: Sampling,
    embedding: Array | None,
    shards: int,
) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
    layers, output = [lstm_as_float32(packed, shards) for packed in layers], dense_as_float32(output, shards)
    (N, B), V, dtype = uniforms.shape, output.weights[1].size, output.W.dtype
    drawn = np.empty((N, B), np.int32)
    tapes = [Tape(1, B, packed, masked=False) for packed in layers]
    for tape, packed, (h, c) in zip(tapes, layers, state, strict=True):
        tape.start(tape.ids if packed.tokens else tape.x, packed, h, c, None)
    table = np.empty((0, 0), dtype) if embedding is None else embedding
    kernels.generate(
        tuple(tape.weights for tape in tapes),
        tuple(tape.steps for tape in tapes),
        np.zeros((1, B, table.shape[1]), dtype),
        table,
        output.W,
        output.weights[1],
        np.empty((B, V), dtype),
        np.stack([np.array(ids, np.int32), np.zeros(B, np.int32)]),
        np.ascontiguousarray(uniforms),
        choice.controls(sampling, V, shards),
        drawn,
        shards=shards,
    )
    sizes = [(h.shape[1], c.shape[1]) for h, c in state]
    after = zip((tape.steps for tape in tapes), sizes, strict=True)
    return drawn, [(steps.h[0, :, :R].copy(), get_cells(steps.c[:, 0], H)) for steps, (R, H) in after]
