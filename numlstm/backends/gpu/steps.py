"""The step-by-step path of a layer over a sequence: at each step a product through cuBLAS, then a cell kernel.

For large layers, and for all layers with layer norm or a projection.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..spec.variant import Variant
from . import columns, variants
from .lazy_cupy import cp
from .modules import blocks_for, launch
from .packed import PackedLSTM
from .products import multiply
from .tapes import Tape

Array = Any
THREADS = 256


def launch_flat(name: str, dtype: Any, entries: int, *arguments: Any) -> None:
    """Launch a kernel of `kernels/cells.cu` with a thread for each entry."""
    launch("cells", name, dtype, blocks_for(entries, THREADS), (THREADS,), arguments)


def forward(packed: PackedLSTM, tape: Tape, h0: Array, c0: Array) -> None:
    """Fill the tape; unless the input is token ids, `gates` must hold x W_x, its part of a = x W_x + h_prev W_h."""
    W_x, W_h, _ = packed.weights
    tape.h[0][...], tape.c[0][...] = h0, c0
    if tape.masked:
        apply_mask(tape, tape.h[0], tape.seen[0])
    if packed.tokens:
        entries, N = tape.gates.size, tape.gates.shape[2]
        launch_flat("pick_rows", W_h.dtype, entries, tape.ids, W_x, tape.gates, np.int64(entries), np.int32(N))
    for t in range(len(tape.gates)):
        multiply(tape.seen[t], W_h, tape.gates[t], add=True, precision=packed.precision)
        if packed.variant.gain is None:
            _cells_forward(packed, tape, t)
        else:
            variants.normed_forward(packed, tape, t)
        if packed.variant.W_p is not None:
            multiply(tape.m[t], packed.variant.W_p, tape.h[t + 1], precision=packed.precision)
            if tape.masked:
                apply_mask(tape, tape.h[t + 1], tape.seen[t + 1])


def apply_mask(tape: Tape, values: Array, out: Array) -> None:
    """Write values (B, R) times the mask to out."""
    launch_flat("hide", values.dtype, values.size, values, tape.mask, out, np.int32(values.size))


def _cells_forward(packed: PackedLSTM, tape: Tape, t: int) -> None:
    B, H = tape.c.shape[1:]
    launch_flat(
        "cells_forward",
        tape.c.dtype,
        B * H,
        packed.weights[2],
        tape.mask,
        tape.c[t],
        tape.gates[t],
        tape.c[t + 1],
        tape.m[t],
        tape.seen[t + 1],
        *map(np.int32, (B, H, tape.masks_cell_output, packed.variant.hard)),
    )


def backward(packed: PackedLSTM, tape: Tape, dh: Array, db: Array, dvariant: Variant) -> tuple[Array, Array]:
    """Overwrite the gates with da, add to db and the arrays of `dvariant`, and return dh0 and dc0."""
    (T, B), R, H, dtype = tape.shape, packed.state_size, packed.hidden_size, dh.dtype
    variant, precision = packed.variant, packed.precision
    dc_next, dh_next = cp.zeros((B, H), dtype), cp.empty((B, R), dtype)
    dr = dm = cp.empty((0, B, R), dtype)
    if variant.W_p is not None:
        dr, dm = cp.empty((T, B, R), dtype), cp.empty((B, H), dtype)
    for t in reversed(range(T)):
        last = t == T - 1
        dm_t = dh[t]  # h goes up to the next layer and on to step t + 1
        if variant.W_p is not None:
            variants.projected_backward(tape, dh[t], dh_next, dr[t], last)
            multiply(dr[t], variant.W_p.T, dm, precision=precision)  # h = m @ W_p
            dm_t, last = dm, True
        cells_backward = _cells_backward if variant.gain is None else variants.normed_backward
        cells_backward(packed, tape, t, dm_t, dh_next, dc_next, last)
        multiply(tape.gates[t], packed.weights[1].T, dh_next, precision=precision)  # a = seen_prev @ W_h + ...
    if variant.W_p is not None:
        multiply(tape.m.reshape(T * B, H).T, dr.reshape(T * B, R), dvariant.W_p, add=True, precision=precision)
    if variant.gain is None:
        columns.add_column_sums(tape.gates, db)  # z = ... + b
    else:
        variants.add_norm_gradients(tape, db, dvariant)
    dh0 = dh_next
    if tape.masked:
        dh0 = cp.empty((B, R), dtype)
        apply_mask(tape, dh_next, dh0)  # seen = h * mask
    return dh0, dc_next


def _cells_backward(
    packed: PackedLSTM, tape: Tape, t: int, dh: Array, dh_next: Array, dc_next: Array, last: bool
) -> None:
    B, H = tape.c.shape[1:]
    launch_flat(
        "cells_backward",
        dh.dtype,
        B * H,
        dh,
        dh_next,
        tape.mask,
        tape.c[t],
        tape.c[t + 1],
        tape.gates[t],
        dc_next,
        *map(np.int32, (B, H, tape.masks_cell_output, packed.variant.hard, last)),
    )
