"""Token generation: the whole network and the sampling in one compiled call.

Each layer's h alternates between two buffers, so nothing is allocated per token. The threads share the streams, or
the columns of the weights: see `pace.py`. Sums run in the same order either way, so the tokens and the state are the
same for any number of threads. The caller passes the uniform random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..spec.sampling import Sampling
from . import choice
from .buffers import StepBuffers, get_cells
from .choice import choose
from .jit import COUNTER_SIZE, ShardedKernel, can_meet, kernel, meet
from .narrow import StoredWeights, add_product, gate_sums
from .pace import pace_of
from .packing import PackedDense, PackedLSTM
from .recurrence import as_pairs, cells

Array = npt.NDArray[Any]


@kernel
def _advance(n, first, last, low, high, ids, x, weights, memory):
    """Run step n of one layer for the panels first:last and the streams low:high."""
    start, W_x, W_h, x_scale, h_scale = weights
    h, operand, c, tanh_c, gates = memory
    P, VL, old, new = W_h.shape[0], c.shape[2], n % 2, 1 - n % 2
    for p in range(first, last):
        gate_sums(
            ids[low:high],
            start[:, p],
            x[new, low:high],
            W_x[p],
            x_scale[p],
            operand[old, low:high],
            W_h[p],
            h_scale[p],
            W_h[(p + 1) % P],
            gates[p, low:high],
        )
        cells(
            gates[p, low:high],
            c[p, low:high],
            c[p, low:high],
            tanh_c[p, low:high],
            h[new, low:high, p * VL :],
            operand[new, low:high, p * VL // 2 :],
        )


@ShardedKernel
def generate(
    start,
    W_x,
    W_h,
    x_scale,
    h_scale,
    h,
    operand,
    c,
    tanh_c,
    gates,
    top,
    W_y,
    y_scale,
    b_y,
    logits,
    ids,
    uniforms,
    controls,
    drawn,
    span,
    columns,
    flags,
    s,
    shards,
):
    """Fill the steps span[0] to span[1] - 1 of drawn (N, B) from uniforms (N, B); the first input is ids[0] (B).

    These have one entry per layer: start as packed; W_x, W_h and their scales as `StoredWeights`; h (2, B, H), whose
    row 0 holds the initial state and whose row N % 2 receives the last; `operand`, the form of h that products read
    (see `recurrence.forward`); c and tanh_c (P, B, lanes); gates (P, B, 4 lanes). `top` is the last h or `operand`,
    whichever the output layer reads. ids[1] holds zeros, the index into `start` for layers that read activations.
    `controls` is a `choice.SamplingState`. With `columns` the shards share the panels and meet, on `flags`, after each
    layer, the logits and the drawing; otherwise they share the streams.
    """
    B, Q, width, met = drawn.shape[1], W_y.shape[0], W_y.shape[2], 0
    own, beyond = s * B // shards, (s + 1) * B // shards  # the streams that this shard draws
    low, high, part, parts = (0, B, s, shards) if columns else (own, beyond, 0, 1)
    for n in range(span[0], span[1]):
        for k in range(len(start)):
            P = W_h[k].shape[0]
            weights = (start[k], W_x[k], W_h[k], x_scale[k], h_scale[k])
            memory = (h[k], operand[k], c[k], tanh_c[k], gates[k])
            x = operand[k - 1 if k else 0]
            _advance(n, part * P // parts, (part + 1) * P // parts, low, high, ids[min(k, 1)], x, weights, memory)
            met += 1
            meet(flags, s, met, parts)
        first, last = part * Q // parts, (part + 1) * Q // parts
        for b in range(low, high):
            logits[b, first * width : last * width] = b_y[first * width : last * width]
        add_product(top[1 - n % 2, low:high], W_y, y_scale, first, last, logits[low:high])
        met += 2
        meet(flags, s, met - 1, parts)
        for b in range(own, beyond):
            drawn[n, b] = choose(logits[b], uniforms[n, b], b, n, controls, s)
            ids[0, b] = drawn[n, b]
        meet(flags, s, met, parts)


# Bytes of weights from which columns may pay: a prototype's matrix products gained from two cores with 418 kB, not with
# 209 kB. `pace.py` decides by trials.
_LARGE = 300_000


def draw(
    layers: Sequence[PackedLSTM],
    output: PackedDense,
    stored: StoredWeights,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: npt.NDArray[np.float64],
    sampling: Sampling,
    threads: int,
) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
    """Generate as `Backend.generate` describes, for plain layers with their weights as stored."""
    (N, B), b_y = uniforms.shape, output.weights[1]
    drawn = np.empty((N, B), np.int32)
    buffers = [StepBuffers(packed, h, c) for packed, (h, c) in zip(layers, state, strict=True)]
    for each in buffers:
        if each.operand is not each.h:
            as_pairs(each.h[0], each.operand[0], shards=1)
    arguments = (
        tuple(packed.start for packed in layers),
        *stored.layers,
        tuple(b.h for b in buffers),
        tuple(b.operand for b in buffers),
        tuple(b.c for b in buffers),
        tuple(b.tanh_c for b in buffers),
        tuple(b.gates for b in buffers),
        buffers[-1].operand if output.pairs else buffers[-1].h,
        *stored.output,
        b_y,
        np.empty((B, b_y.size), b_y.dtype),
        np.stack([np.array(ids, np.int32), np.zeros(B, np.int32)]),
        np.ascontiguousarray(uniforms),
        choice.controls(sampling, b_y.size, threads),
        drawn,
    )
    _share(arguments, N, B, stored.nbytes, threads)
    sizes = [h.shape[1] for h, _ in state]
    return drawn, [(b.h[N % 2, :, :H].copy(), get_cells(b.c, H)) for b, H in zip(buffers, sizes, strict=True)]


def _share(arguments: tuple[Any, ...], N: int, B: int, nbytes: int, threads: int) -> None:
    """Call `generate` with `arguments`, which stop before `span`, for N steps of B streams."""

    def run(first: int, beyond: int, columns: bool) -> None:
        shards = threads if columns else min(B, threads)
        generate(*arguments, (first, beyond), columns, np.zeros((shards, COUNTER_SIZE), np.int64), shards=shards)

    if threads <= B or nbytes < _LARGE or not can_meet(threads):
        run(0, N, False)
        return
    pace = pace_of(nbytes, B, threads)
    if pace.new:
        for columns in (False, True):  # load the kernel, which is no part of its speed
            run(0, 0, columns)
    pace.draw(N, run)
