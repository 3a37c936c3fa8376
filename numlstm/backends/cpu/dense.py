"""The dense output layer and the softmax cross-entropy above it, sharded over rows.

A row is one position of one stream. N rows, H inputs, V outputs.
"""

from __future__ import annotations

import math

from llvmlite import ir

from .activations import exp
from .jit import ShardedKernel
from .product import add_product
from .simd import Emitter, Vec, View, vector_code


@ShardedKernel
def multiply(a, packed, start, out, s, shards):
    """out (N, V) = start (V) + a (1, N, H) @ packed, sharded over rows."""
    N = out.shape[0]
    low, high = s * N // shards, (s + 1) * N // shards
    for n in range(low, high):
        out[n] = start
    add_product(a[:, low:high], packed, out[low:high])


@vector_code
def exp_row(emit: Emitter, row: View, sums: View) -> None:
    """row = exp(row - max(row)); sums[0] = the maximum in every lane, sums[1] = one partial sum per lane."""
    builder, width = emit.builder, emit.index(emit.lanes)
    count = builder.sdiv(builder.add(row.shape[0], emit.index(emit.lanes - 1)), width)

    def place(index: ir.Value) -> tuple[ir.Value, ir.Value]:
        offset = builder.mul(index, width)
        return emit.move(row.pointer, offset), emit.first(builder.sub(row.shape[0], offset))

    with emit.loop(count, [emit.vec(-math.inf)]) as loop:
        pointer, mask = place(loop.index)
        loop.carried = [emit.maximum(loop.carried[0], emit.load_masked(pointer, mask, -math.inf))]
    largest = _maximum_of_lanes(emit, loop.carried[0])
    with emit.loop(count, [emit.vec(0.0)]) as loop:
        pointer, mask = place(loop.index)
        power = exp(emit, emit.load_masked(pointer, mask, -math.inf) - largest)
        emit.store_masked(power, pointer, mask)
        loop.carried = [loop.carried[0] + power]
    emit.store(largest, sums.at(0))
    emit.store(loop.carried[0], sums.at(1))


def _maximum_of_lanes(emit: Emitter, vec: Vec) -> Vec:
    """Return a vector with the largest lane in every lane, by folding in halves."""
    step = emit.lanes // 2
    while step:
        vec = emit.maximum(vec, emit.rotate(vec, step))
        step //= 2
    return vec


@ShardedKernel
def cross_entropy(logits, targets, losses, scale, work, s, shards):
    """losses (N) = -log softmax(logits)[targets] in nats; logits (N, V) become `scale` times their gradient.

    `work (shards, 2, lanes)` is scratch space. A NaN in a row makes the row's loss NaN.
    """
    N, sums = logits.shape[0], work[s]
    for n in range(s * N // shards, (s + 1) * N // shards):
        row = logits[n]
        target = row[targets[n]]
        exp_row(row, sums)
        total = 0.0
        for lane in range(sums.shape[1]):
            total += sums[1, lane]
        losses[n] = math.log(total) + float(sums[0, 0]) - float(target)
        factor = row.dtype.type(scale / total)
        for v in range(row.shape[0]):
            row[v] *= factor
        row[targets[n]] -= row.dtype.type(scale)
