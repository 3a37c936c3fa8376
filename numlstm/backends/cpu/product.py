"""Matrix products from one register tile.

A tile of up to `HEIGHTS[0]` x `TILE_WIDTH` vector registers moves along the inner dimension once. The right-hand
matrix is packed in panels as wide as the tile (Goto & van de Geijn 2008), so that it is read sequentially.
The same tile computes activations times weights (`add_product`) and, with the left-hand matrix transposed,
weight gradients (`add_gradient`). For matrices of bf16 pairs the inner dimension counts pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llvmlite import ir

from . import bf16
from .jit import kernel
from .processor import register_file
from .simd import INDEX, PAIR, Emitter, Vec, View, vector_code

TILE_WIDTH = 4
# Tile heights: few, since each is compiled into every kernel. At the tallest, the accumulators, one row of the panel
# and a broadcast fit in the registers.
HEIGHTS = (6, 4, 1) if register_file().registers == 32 else (2, 1)
# Rows of a gradient's inner dimension per block: a block fits the L2 cache and is read once for all panels.
# A third as many took 1.5 times as long, because sums were loaded and stored too often.
BLOCK = 192
HALF, BYTE = ir.IntType(16), ir.IntType(8)  # the elements of stored bf16 and int8 weights: see `narrow.py`

# Rows of a panel that a product processes at a time: that piece of the panel fills a quarter of the L2 cache.
DEPTH = 512


def row_tiles(emit: Emitter, rows: ir.Value) -> Iterator[tuple[ir.Value, int]]:
    """Yield the first row and the height of a tile, once for each of `HEIGHTS`.

    The code emitted at each yield is looped until all rows are covered.
    """
    builder, first = emit.builder, emit.index(0)
    for R, lower in zip(HEIGHTS, (*HEIGHTS[1:], 1), strict=True):
        left = builder.sub(rows, first)
        count = builder.sdiv(left, emit.index(R))
        if 2 * lower > R > 1:  # split 8 rows into 4 + 4, not 6 + 1 + 1
            rest = builder.sub(left, builder.mul(count, emit.index(R)))
            badly = builder.and_(
                builder.icmp_signed("==", rest, emit.index(2 * lower - R)),
                builder.icmp_signed(">", count, emit.index(0)),
            )
            count = builder.sub(count, builder.zext(badly, INDEX))
        with emit.loop(count) as loop:
            yield builder.add(first, builder.mul(loop.index, emit.index(R))), R
        first = builder.add(first, builder.mul(count, emit.index(R)))


def accumulate(
    emit: Emitter, sums: Sequence[Vec], a: View, b: View, rows: int, width: int, ahead: ir.Value | None = None
) -> list[Vec]:
    """Emit `sums + a @ b` for b (K, width registers); `sums` is in row-major order.

    a is (rows, K), or (S, rows, K / S) if the inner dimension is split into S pieces. Each iteration prefetches the
    next two cache lines, starting at `ahead`, into the L2 cache. The entries of b may be narrow: see `_widened`.
    """
    if len(a.shape) == 3:
        with emit.loop(a.shape[0], sums) as piece:
            first = emit.builder.mul(piece.index, a.shape[2])
            right = View(b.emit, b.at(first), [a.shape[2], *b.shape[1:]], b.strides)
            later = None if ahead is None else _lines(b.emit, ahead, emit.builder.mul(first, emit.index(2)))
            piece.carried = accumulate(emit, piece.carried, a[piece.index], right, rows, width, later)
        return piece.carried
    times = bf16.dot if b.emit.element == PAIR else Emitter.fma
    with emit.loop(b.shape[0], sums) as loop:
        if ahead is not None:
            for n in range(2 if rows > 1 else 0):
                line = emit.builder.add(emit.builder.mul(loop.index, emit.index(2)), emit.index(n))
                emit.prefetch(_lines(b.emit, ahead, line))
        panel = [_widened(a.emit, b, b.emit.move(b.at(loop.index), v * b.emit.lanes)) for v in range(width)]
        totals = []
        for r in range(rows):
            left = a.emit.broadcast(a.at(r, loop.index))
            totals += [times(emit, left, panel[v], loop.carried[r * width + v]) for v in range(width)]
        loop.carried = totals
    return loop.carried


def _widened(emit: Emitter, b: View, pointer: ir.Value) -> Vec:
    """Load a register of b: as it is, or bf16 or int8 numbers as float32."""
    if b.emit.element == HALF:
        return bf16.load_halves(emit, pointer)
    if b.emit.element == BYTE:
        builder = emit.builder
        narrow = builder.load(pointer, typ=ir.VectorType(BYTE, emit.lanes), align=1)
        return Vec(emit, builder.sitofp(builder.sext(narrow, emit.bits), emit.vector))
    return b.emit.load(pointer)


def _lines(emit: Emitter, pointer: ir.Value, count: ir.Value) -> ir.Value:
    """Return `pointer` advanced by `count` cache lines."""
    return emit.move(pointer, emit.builder.mul(count, emit.index(64 // emit.itemsize)))


def prefetch_address(emit: Emitter, panel: View, after: View, row: ir.Value) -> ir.Value:
    """Return the address from which the tile at `row` should prefetch: for the first tiles, the next panel, `after`.

    Weights that do not fit the L2 cache then arrive while the previous panel is in use. Without this, with 512 units,
    the first tile of each panel took five times as long as the others.
    """
    builder = emit.builder
    done = builder.sdiv(builder.mul(row, panel.shape[0]), emit.index(HEIGHTS[0] // 2 or 1))
    further = _lines(panel.emit, after.pointer, done)
    early = builder.icmp_signed("<", row, emit.index(2 * HEIGHTS[0]))
    return builder.select(early, further, panel.pointer)


@vector_code
def _add_panel(emit: Emitter, a: View, b: View, after: View, out: View) -> None:
    """out += a @ b for a whole panel, up to the number of columns of `out`."""
    masks = [emit.first(emit.builder.sub(out.shape[1], emit.index(v * emit.lanes))) for v in range(TILE_WIDTH)]
    for row, R in row_tiles(emit, out.shape[0]):
        here = out.skip(row)
        places = [emit.move(here.at(r), v * emit.lanes) for r in range(R) for v in range(TILE_WIDTH)]
        sums = [emit.load_masked(place, masks[n % TILE_WIDTH]) for n, place in enumerate(places)]
        ahead = prefetch_address(emit, b, after, row)
        sums = accumulate(emit, sums, a.skip(row, len(a.shape) - 2), b, R, TILE_WIDTH, ahead)
        for n, place in enumerate(places):
            emit.store_masked(sums[n], place, masks[n % TILE_WIDTH])


@vector_code
def _add_column(emit: Emitter, a: View, b: View, out: View) -> None:
    """out += a @ b for one register of columns, up to the number of columns of `out`."""
    mask = emit.first(out.shape[1])
    for row, R in row_tiles(emit, out.shape[0]):
        here = out.skip(row)
        old = [emit.load_masked(here.at(r), mask) for r in range(R)]
        for r, total in enumerate(accumulate(emit, old, a.skip(row, len(a.shape) - 2), b, R, 1)):
            emit.store_masked(total, here.at(r), mask)


@vector_code
def _add_gradient(emit: Emitter, slabs: View, panel: View, after: View, out: View) -> None:
    """out (slabs, lanes, 4 lanes) += slabs.T @ panel; prefetches the next panel, `after`."""
    _gradient_tiles(emit, slabs, panel, after, out, HEIGHTS[0], TILE_WIDTH)


@vector_code
def _add_gradient_column(emit: Emitter, slabs: View, panel: View, after: View, out: View) -> None:
    """Do the same as `_add_gradient` for the first register of each row only."""
    _gradient_tiles(emit, slabs, panel, after, out, HEIGHTS[0] * 2, 1)


def _gradient_tiles(emit: Emitter, slabs: View, panel: View, after: View, out: View, most: int, width: int) -> None:
    with emit.loop(slabs.shape[0]) as slab:
        first = 0
        for R in _divided(emit.lanes, most):
            a, places = slabs[slab.index].T.skip(emit.index(first)), []
            for r in range(R):
                row = out.at(slab.index, first + r)
                places += [emit.move(row, v * emit.lanes) for v in range(width)]
            row = emit.builder.add(emit.builder.mul(slab.index, emit.index(emit.lanes)), emit.index(first))
            ahead = prefetch_address(emit, panel, after, row)
            sums = accumulate(emit, [emit.load(place) for place in places], a, panel, R, width, ahead)
            for place, total in zip(places, sums, strict=True):
                emit.store(total, place)
            first += R


def _divided(rows: int, most: int) -> list[int]:
    """Return heights of at most `most` that sum to `rows`, such as 6 + 6 + 4 for 16."""
    return [] if not rows else [min(rows, most), *_divided(rows - min(rows, most), most)]


@vector_code
def _unpack(emit: Emitter, panel: View, out: View, step: ir.Value, valid: ir.Value, less: ir.Value) -> None:
    """out += panel: register v of a row goes to the `valid - v * less` columns of out from `v * step` on."""
    builder = emit.builder
    masks = [emit.first(builder.sub(valid, builder.mul(emit.index(v), less))) for v in range(TILE_WIDTH)]
    with emit.loop(panel.shape[0]) as loop:
        for v, mask in enumerate(masks):
            place = emit.move(out.at(loop.index), builder.mul(emit.index(v), step))
            more = emit.load(emit.move(panel.at(loop.index), v * emit.lanes))
            emit.store_masked(emit.load_masked(place, mask) + more, place, mask)


@vector_code
def _copy_columns(emit: Emitter, source: View, target: View, valid: ir.Value) -> None:
    """Copy the first `valid` columns of source (K, ...) into target (K, adjacent registers); pad with 0.

    A target of pairs has half as many rows, each from two rows of the source. The source may hold bf16 numbers itself.
    """
    builder, width = emit.builder, emit.index(emit.lanes)

    def load(row: ir.Value, column: ir.Value) -> Vec:
        there = builder.icmp_signed("<", row, source.shape[0])
        if source.emit.element == PAIR:
            at = source.at(builder.select(there, row, emit.index(0)), builder.sdiv(column, emit.index(2)))
            vec = bf16.load_halves(emit, at)
            return Vec(emit, builder.select(there, vec.value, emit.vec(0.0).value))
        left = builder.select(there, builder.sub(valid, column), emit.index(0))
        return emit.load_masked(emit.move(source.at(row), column), emit.first(left))

    with emit.loop(target.shape[0]) as row, emit.loop(builder.sdiv(target.shape[1], width)) as register:
        column = builder.mul(register.index, width)
        if target.emit.element == PAIR:
            upper = builder.mul(row.index, emit.index(2))
            vec = bf16.pair(emit, load(upper, column), load(builder.add(upper, emit.index(1)), column))
        else:
            vec = load(row.index, column)
        target.emit.store(vec, target.emit.move(target.at(row.index), column))


@kernel
def add_product(a, packed, out):
    """out (M, N) += a @ b, where a is (S, M, K / S) and b is packed as (panels, K, panel width).

    The inner dimension is split into pieces, each processed for all panels, so that one piece of a panel and of the
    rows fits the L2 cache. Columns of a beyond K / S are ignored.
    """
    N, S, P = out.shape[1], a.shape[0], packed.shape[0]
    K, width = packed.shape[1] // S, packed.shape[2]
    lanes, pieces = width // TILE_WIDTH, max(1, DEPTH // K)
    for s in range(0, S, pieces):
        e = min(s + pieces, S)
        for q in range(P):
            first = q * width
            panel = packed[q, s * K : e * K]
            after = packed[q + 1, s * K : e * K] if q + 1 < P else packed[0, (e if e < S else 0) * K :]
            if N - first > width - lanes:
                _add_panel(a[s:e, :, :K], panel, after, out[:, first : first + width])
            else:
                for v in range(0, N - first, lanes):
                    _add_column(a[s:e, :, :K], panel[:, v:], out[:, first + v : first + v + lanes])


@kernel
def copy_columns(source, column, target):
    """Copy source (K, N), from `column` on, into target (K or K / 2 pairs, registers); pad with 0."""
    _copy_columns(source[:, column:], target, source.shape[1] - column)


@kernel
def copy_slabs(a, slabs):
    """Copy a (K, M) into slabs (M / lanes, K or K / 2 pairs, lanes): one cache line per row, all in sequence.

    In a wide matrix the rows of a few columns are too far apart: without the copy, with 512 columns, a gradient took
    1.3 times as long.
    """
    for s in range(slabs.shape[0]):
        copy_columns(a, s * slabs.shape[2], slabs[s])


@kernel
def add_gradient(slabs, panel, after, sums, columns):
    """sums (slabs, lanes, panel width) += slabs.T @ panel, for panel (K, panel width) with `columns` valid columns.

    `after` is the panel used next.
    """
    if columns > slabs.shape[2]:
        _add_gradient(slabs, panel, after, sums)
    else:
        _add_gradient_column(slabs, panel, after, sums)


@kernel
def unpack(sums, out, step, valid, less):
    """out (M, ...) += sums (at least M, panel width).

    Register v of a row goes to the `valid - v * less` columns of out from `v * step` on.
    """
    _unpack(sums[: out.shape[0]], out, step, valid, less)
