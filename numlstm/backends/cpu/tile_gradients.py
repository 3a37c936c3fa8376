"""Weight gradients with bf16 products in tiles: sums over all rows at once, sharded over the panels of columns.

The left-hand matrix is transposed once for all shards, into slabs of 16 columns; then the shards meet. The rows are
processed in blocks. The slabs of a block lie together, because slabs a power of two apart would share few cache sets.
The right-hand matrix is copied panel by panel, with pairs of rows side by side. Every sum runs over the rows in the
same order, whatever the number of shards.
"""

from __future__ import annotations

from llvmlite import ir

from . import bf16, tiles
from .gradients import add_rows
from .jit import ShardedKernel, kernel, meet
from .packing import transposed
from .product import unpack
from .simd import Emitter, Vec, View, vector_code
from .tiles import COLUMNS, PANEL_ROW, ROW_BYTES, ROWS, Factors, advance, row_bytes, tile_product

BLOCK = 512  # rows; a prototype on AMX was about as fast with 256 to 2048
_DEPTH = 32  # rows of a tile of a slab: they become its columns
_SLAB_TILES = BLOCK // _DEPTH
_WORDS = ir.VectorType(ir.IntType(16), 32)


def slab_shape(N: int, size: int) -> tuple[int, ...]:
    """Return the shape of the slabs for N rows of `size` numbers: blocks, an even number of slabs, tiles, 16, 16."""
    return (-(-N // BLOCK), 2 * -(-size // 32), _SLAB_TILES, ROWS, COLUMNS)


def _mixed_words(emit: Emitter, a: Vec, b: Vec, places: list[int]) -> Vec:
    """Return the 16-bit words at `places` of those of a followed by those of b."""
    builder = emit.builder
    mask = ir.Constant(ir.VectorType(ir.IntType(32), 32), [ir.Constant(ir.IntType(32), n) for n in places])
    mixed = builder.shuffle_vector(builder.bitcast(a.value, _WORDS), builder.bitcast(b.value, _WORDS), mask)
    return Vec(a.emit, builder.bitcast(mixed, a.emit.vector))


def _row_or_zeros(a: View, row: ir.Value, column: int = 0) -> Vec:
    """Return a register of a's row from a column on, or zeros beyond a's last row."""
    builder, pairs = a.emit.builder, a.emit
    there = builder.icmp_signed("<", row, a.shape[0])
    place = pairs.move(a.at(builder.select(there, row, pairs.index(0))), column)
    return Vec(pairs, builder.select(there, pairs.load(place).value, pairs.vec(0).value))


@vector_code
def _transpose_tile(emit: Emitter, a: View, out: View) -> None:
    """out (2, 16, 16 pairs of rows) = the transpose of a (at most 32 rows, 16 pairs of columns), 0 beyond its rows."""
    pairs = a.emit
    upper, lower = (transposed(pairs, [_row_or_zeros(a, pairs.index(half + r)) for r in range(16)]) for half in (0, 16))
    for column in range(16):
        for odd in (0, 1):
            row = 2 * column + odd
            words = _mixed_words(emit, upper[column], lower[column], [2 * n + odd for n in range(32)])
            pairs.store(words, out.at(row // 16, row % 16))


@vector_code
def pair_rows(emit: Emitter, dz: View, out: View) -> None:
    """out (rows / 2, 64) = dz (rows, 32 pairs of columns) as pairs of rows, 0 beyond dz's rows."""
    builder, pairs = emit.builder, dz.emit
    with emit.loop(out.shape[0]) as loop:
        upper = builder.mul(loop.index, emit.index(2))
        for half in (0, 1):
            a, b = (_row_or_zeros(dz, builder.add(upper, emit.index(n)), 16 * half) for n in (0, 1))
            for n in (0, 1):
                places = [word for k in range(16) for word in (16 * n + k, 32 + 16 * n + k)]
                pairs.store(_mixed_words(emit, a, b, places), pairs.move(out.at(loop.index), 32 * half + 16 * n))


@kernel
def transpose_share(a, slabs, s, shards):
    """Copy the shard's part of a (N, pairs of columns) into its transpose: see `slab_shape`."""
    N = a.shape[0]
    blocks = (N + _DEPTH - 1) // _DEPTH
    for n in range(s * blocks // shards, (s + 1) * blocks // shards):
        rows = a[_DEPTH * n : min(_DEPTH * n + _DEPTH, N)]
        for m in range(slabs.shape[1] // 2):
            target = slabs[n // _SLAB_TILES, 2 * m : 2 * m + 2, n % _SLAB_TILES]
            _transpose_tile(rows[:, 16 * m : 16 * m + 16], target)


@vector_code
def add_block(emit: Emitter, config: View, slabs: View, panel: View, sums: View, fresh: ir.Value) -> None:
    """sums (slabs * 16, 64) = slabs (slabs, tiles, 16, 16).T @ panel (tiles * 16, 64), or += unless `fresh`."""
    builder = emit.builder
    pairs_of_slabs = builder.sdiv(slabs.shape[0], emit.index(2))
    for add in (False, True):
        chosen = builder.icmp_signed("==", fresh, ir.Constant(fresh.type, 0 if add else 1))
        with emit.loop(builder.select(chosen, pairs_of_slabs, emit.index(0))) as loop:
            slab = [builder.add(builder.mul(loop.index, emit.index(2)), emit.index(n)) for n in (0, 1)]
            left = [slabs.at(n) for n in slab]
            for c in (0, 2):
                right = advance(emit, panel.pointer, ROW_BYTES * c)
                factors = Factors(left, emit.index(ROW_BYTES), slabs.shape[1], row_bytes(slabs, 1), 1, right)
                out = [advance(emit, sums.at(builder.mul(n, emit.index(ROWS))), ROW_BYTES * c) for n in slab]
                tile_product(emit, config, [factors], 2, out, emit.index(PANEL_ROW), add=add)


@vector_code
def _sum_rows(emit: Emitter, dz: View, out: View) -> None:
    """out (64) += the sum of the rows of dz (rows, 32 pairs)."""
    places = [emit.move(out.pointer, v * emit.lanes) for v in range(4)]
    with emit.loop(dz.shape[0], [emit.load(place) for place in places]) as loop:
        halves = [dz.emit.move(dz.at(loop.index), v * emit.lanes // 2) for v in range(4)]
        loop.carried = [vec + bf16.load_halves(emit, place) for vec, place in zip(loop.carried, halves, strict=True)]
    for vec, place in zip(loop.carried, places, strict=True):
        emit.store(vec, place)


@kernel
def _gate_block(config, fresh, ids, slabs_x, slabs_h, dz, panel, sums_x, sums_h, sums_b):
    """Add the contribution of a block of rows to one panel of columns."""
    pair_rows(dz, panel)
    add_block(config, slabs_h, panel, sums_h, fresh)
    if slabs_x.shape[0] == 0:
        add_rows(ids, dz, sums_x)
    else:
        add_block(config, slabs_x, panel, sums_x, fresh)
    _sum_rows(dz, sums_b[0])


@ShardedKernel
def add_gate_gradients(
    palettes, flags, ids, x, h, slabs_x, slabs_h, dz, dW_x, dW_h, db, panels, sums_x, sums_h, sums_b, s, shards
):
    """Add to dW_x (D or V, 4H), dW_h (R, 4H), db (1, 4H) the sums over N rows of ids (N), x, h (N, pairs) and dz.

    dz (P, at least N, 32 pairs) may have more rows, which are not read. Scratch memory: flags (shards, 16), 0 on entry;
    the slabs of x and h; panels (shards, BLOCK / 2, 64); the sums, by panel (P, rows, 64).
    """
    P, N, H = dz.shape[0], ids.shape[0], dW_h.shape[1] // 4
    transpose_share(h, slabs_h, s, shards)
    transpose_share(x, slabs_x, s, shards)
    if shards > 1:
        meet(flags, s, 1, shards)
    config = palettes[ROWS]
    tiles.configure(config)
    for p in range(s * P // shards, (s + 1) * P // shards):
        sums_b[p] = 0
        if slabs_x.shape[1] == 0:
            sums_x[p] = 0
        for a in range(0, N, BLOCK):
            b = min(a + BLOCK, N)
            depth = (b - a + _DEPTH - 1) // _DEPTH
            _gate_block(
                config,
                a == 0,
                ids[a:b],
                slabs_x[a // BLOCK, :, :depth],
                slabs_h[a // BLOCK, :, :depth],
                dz[p, a:b],
                panels[s, : ROWS * depth],
                sums_x[p],
                sums_h[p],
                sums_b[p],
            )
        u = p * COLUMNS
        unpack(sums_h[p], dW_h[:, u:], H, H - u, 0)
        unpack(sums_x[p], dW_x[:, u:], H, H - u, 0)
        unpack(sums_b[p], db[:, u:], H, H - u, 0)
    tiles.release(config)
