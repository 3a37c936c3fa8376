"""Layer norm and projections: their cell kernels for one step, and the gradients of their weights.

Launches kernels of `kernels/cells.cu`; `steps.py` loops over the steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..spec.variant import Variant
from . import columns
from .modules import blocks_for, launch
from .packed import PackedLSTM
from .tapes import Tape

Array = Any
FEWEST, MOST = 32, 256  # threads per block, which owns a row


def _launch(name: str, tape: Tape, *arguments: Any) -> None:
    """Launch a kernel with a block per row. Only H sets the number of threads, so the order of sums never changes."""
    B, H = tape.c.shape[1:]
    threads = FEWEST
    while threads < min(H, MOST):
        threads *= 2
    launch("cells", name, tape.c.dtype, (B,), (threads,), arguments, shared=threads * 4 * tape.c.dtype.itemsize)


def normed_forward(packed: PackedLSTM, tape: Tape, t: int) -> None:
    """Compute c and m of step t, whose gates hold a = x W_x + h_prev W_h."""
    variant = packed.variant
    _launch(
        "normed_forward",
        tape,
        packed.weights[2],
        variant.gain,
        variant.c_gain,
        variant.c_bias,
        tape.mask,
        tape.c[t],
        tape.gates[t],
        tape.n[t],
        tape.scale[t],
        tape.c[t + 1],
        tape.n_c[t],
        tape.c_scale[t],
        tape.m[t],
        tape.seen[t + 1],
        *map(np.int32, (packed.hidden_size, tape.masks_cell_output, variant.hard)),
    )


def normed_backward(
    packed: PackedLSTM, tape: Tape, t: int, dm: Array, dh_next: Array, dc_next: Array, last: bool
) -> None:
    """Overwrite the gates of step t with da, given the gradient of m, and update dc_next for step t - 1."""
    variant = packed.variant
    _launch(
        "normed_backward",
        tape,
        variant.gain,
        variant.c_gain,
        variant.c_bias,
        dm,
        dh_next,
        tape.mask,
        tape.c[t],
        tape.n[t],
        tape.scale[t],
        tape.n_c[t],
        tape.c_scale[t],
        tape.gates[t],
        tape.dz[t],
        tape.dn_c[t],
        dc_next,
        *map(np.int32, (packed.hidden_size, tape.masks_cell_output, variant.hard, last)),
    )


def projected_backward(tape: Tape, dh: Array, dh_next: Array, out: Array, last: bool) -> None:
    """Write the gradient of a step's h (B, R) to out: dh from above plus, except at the last step, dh from the next."""
    if last:
        out[...] = dh
        return
    numbers = (np.int32(out.size), np.int32(tape.masked))
    arguments = (dh, dh_next, tape.mask, out, *numbers)  # seen = h * mask
    launch("cells", "add_hidden", dh.dtype, blocks_for(out.size, MOST), (MOST,), arguments)


def add_norm_gradients(tape: Tape, db: Array, dvariant: Variant) -> None:
    """Add to the gradients of b, gain, c_gain and c_bias, summed over all steps."""
    columns.add_column_sums(tape.dz, db)  # z = gain * n + b
    columns.add_column_sums(tape.dz, dvariant.gain, tape.n)  # z = gain * n + b
    columns.add_column_sums(tape.dn_c, dvariant.c_gain, tape.n_c)  # tanh(c_gain * n_c + c_bias)
    columns.add_column_sums(tape.dn_c, dvariant.c_bias)  # tanh(c_gain * n_c + c_bias)
