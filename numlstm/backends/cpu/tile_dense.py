"""The output layer with bf16 products in tiles."""

from __future__ import annotations

from llvmlite import ir

from . import tiles
from .jit import ShardedKernel, kernel, meet
from .product import unpack
from .recurrence import pair_row
from .simd import Emitter, View, vector_code
from .tile_gradients import BLOCK, add_block, pair_rows, transpose_share
from .tiles import COLUMNS, ROWS, multiply_rows, tile_rows

_GROUP = 2 * ROWS  # rows that are multiplied together


@vector_code
def _product(emit: Emitter, config: View, rows: ir.Value, a: View, b: View, out: View) -> None:
    """out (N, 64) = a (N, pairs) @ b (pairs, 64)."""
    multiply_rows(emit, config, rows, [(a, 1, b)], out)


@vector_code
def _add_bias(emit: Emitter, z: View, bias: View, out: View) -> None:
    """out (N, up to 64) = z + bias."""
    with emit.loop(out.shape[0]) as loop:
        for v in range(4):
            mask = emit.first(emit.builder.sub(out.shape[1], emit.index(v * emit.lanes)))
            row, more = emit.move(z.at(loop.index), v * emit.lanes), emit.move(bias.pointer, v * emit.lanes)
            total = emit.load(row) + emit.load_masked(more, mask)
            emit.store_masked(total, emit.move(out.at(loop.index), v * emit.lanes), mask)


@kernel
def _multiply_panel(config, rows, a, W, z, bias, out):
    """out (N, up to 64) = bias + a (N, pairs) @ W (pairs, 64), in groups of rows whose results z holds."""
    N = a.shape[0]
    groups = (N + _GROUP - 1) // _GROUP
    size = (N + groups - 1) // groups
    for group in range(groups):
        low = min(group * size, N - size)  # the last group may overlap the one before
        _product(config, rows, a[low : low + size], W, z[:size])
        _add_bias(z[:size], bias, out[low : low + size])


@kernel
def _rows_of_groups(N):
    """Return how many rows the tiles have if N rows are multiplied in groups."""
    groups = (N + _GROUP - 1) // _GROUP
    return tile_rows((N + groups - 1) // groups)


@ShardedKernel
def multiply(palettes, a, pairs, W, bias, z, out, s, shards):
    """out (N, V) = bias + a (N, K) @ W (panels, pairs, 64).

    pairs (N, ...) receives a as bf16 numbers; z (shards, 32, 64) is scratch memory.
    """
    N, V = out.shape
    low, high = s * N // shards, (s + 1) * N // shards
    if low == high:
        return
    for n in range(low, high):
        pair_row(a[n, : 2 * pairs.shape[1]], pairs[n])
    rows = _rows_of_groups(high - low)
    tiles.configure(palettes[rows])
    for q in range(W.shape[0]):
        _multiply_panel(
            palettes[rows],
            rows,
            pairs[low:high],
            W[q],
            z[s],
            bias[64 * q :],
            out[low:high, 64 * q : min(64 * q + 64, V)],
        )
    tiles.release(palettes[rows])


@vector_code
def _sum_columns(emit: Emitter, rows: View, out: View) -> None:
    """out (V) += the sum of the rows (N, V)."""
    builder, lanes = emit.builder, emit.index(emit.lanes)
    with emit.loop(builder.sdiv(builder.add(out.shape[0], emit.index(emit.lanes - 1)), lanes)) as block:
        column = builder.mul(block.index, lanes)
        mask = emit.first(builder.sub(out.shape[0], column))
        place = emit.move(out.pointer, column)
        with emit.loop(rows.shape[0], [emit.load_masked(place, mask)]) as loop:
            more = emit.load_masked(emit.move(rows.at(loop.index), column), mask)
            loop.carried = [loop.carried[0] + more]
        emit.store_masked(loop.carried[0], place, mask)


@ShardedKernel
def add_gradients(palettes, flags, h, slabs, dlogits, dpairs, panels, sums, dW, db, s, shards):
    """Add to dW (H, V) and db (1, V) for h and dpairs (N, pairs), the bf16 numbers of h and of dlogits (N, V).

    Scratch memory: flags (shards, 16), 0 on entry; slabs (see `tile_gradients.slab_shape`); panels (shards, BLOCK / 2,
    64); sums (panels of V, rows, 64).
    """
    N, V = dlogits.shape
    transpose_share(h, slabs, s, shards)
    if shards > 1:
        meet(flags, s, 1, shards)
    config = palettes[ROWS]
    tiles.configure(config)
    P = sums.shape[0]
    for p in range(s * P // shards, (s + 1) * P // shards):
        for a in range(0, N, BLOCK):
            b = min(a + BLOCK, N)
            depth = (b - a + 31) // 32
            panel = panels[s, : ROWS * depth]
            pair_rows(dpairs[a:b, 32 * p :], panel)
            add_block(config, slabs[a // BLOCK, :, :depth], panel, sums[p], a == 0)
        unpack(sums[p], dW[:, 64 * p :], COLUMNS, V - 64 * p, COLUMNS)
    if s == 0:
        _sum_columns(dlogits, db[0])
    tiles.release(config)
