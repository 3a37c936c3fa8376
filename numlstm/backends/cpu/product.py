"""Matrix products from one register tile.

A tile of up to `HEIGHTS[0]` x `TILE_WIDTH` vector registers walks along the inner dimension once; the right-hand
matrix lies packed in panels as wide as the tile (Goto & van de Geijn 2008), so that it is read front to
back. The same tile serves activations times weights (`multiply_rows`) and, with the left-hand matrix
transposed, weight gradients (`add_gradient`). Knows nothing about gates, layers or threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from .jit import kernel
from .simd import Emitter, Vec, View, register_file, vector_code

TILE_WIDTH = 4
# Heights and widths that a tile is compiled for: few, since each is compiled into every kernel. The tallest
# fits the registers with its accumulators, one row of the panel and a broadcast.
HEIGHTS = (6, 4, 1) if register_file()[2] == 32 else (2, 1)
WIDTHS = (TILE_WIDTH, 1)
# Rows of a gradient's inner dimension that are taken together: they fit the L2 cache and are read once for all panels.
# A third as many cost half as much time again: the sums are then loaded and stored too often.
BLOCK = 192


def accumulate(emit: Emitter, sums: Sequence[Vec], a: View, b: View, rows: int, width: int) -> list[Vec]:
    """Write `sums + a @ b` for a (rows, K) and b (K, width registers); `sums` holds a row after the other."""
    with emit.loop(b.shape[0], sums) as loop:
        panel = [emit.load(emit.move(b.at(loop.index), v * emit.lanes)) for v in range(width)]
        totals = []
        for r in range(rows):
            left = emit.broadcast(a.at(r, loop.index))
            totals += [emit.fma(left, panel[v], loop.carried[r * width + v]) for v in range(width)]
        loop.carried = totals
    return loop.carried


@vector_code
def _multiply_tile(emit: Emitter, rows: ir.Value, width: ir.Value, a: View, b: View, start: View, out: View) -> None:
    """out = start + a @ b, as many columns as `out` has."""
    with emit.cases(width, WIDTHS) as widths:
        for W in widths:
            last = emit.first(emit.builder.sub(out.shape[1], emit.index((W - 1) * emit.lanes)))
            with emit.cases(rows, HEIGHTS) as heights:
                for R in heights:
                    first = [emit.load(emit.move(start.pointer, v * emit.lanes)) for v in range(W)]
                    sums = accumulate(emit, first * R, a, b, R, W)
                    for r in range(R):
                        for v in range(W - 1):
                            emit.store(sums[r * W + v], emit.move(out.at(r), v * emit.lanes))
                        end = emit.move(out.at(r), (W - 1) * emit.lanes)
                        emit.store_masked(sums[r * W + W - 1], end, last)


@vector_code
def _gradient_tile(
    emit: Emitter,
    rows: ir.Value,
    a: View,
    b: View,
    out: View,
    step: ir.Value,
    valid: ir.Value,
    less: ir.Value,
) -> None:
    """out += a.T @ b in four pieces of a register: piece v lies v * step on and has valid - v * less columns."""
    builder = emit.builder
    masks = [emit.first(builder.sub(valid, builder.mul(emit.index(v), less))) for v in range(TILE_WIDTH)]
    with emit.cases(rows, HEIGHTS) as heights:
        for R in heights:
            places = [
                emit.move(out.at(r), builder.mul(emit.index(v), step)) for r in range(R) for v in range(TILE_WIDTH)
            ]
            old = [emit.load_masked(place, masks[n % TILE_WIDTH]) for n, place in enumerate(places)]
            sums = accumulate(emit, old, a.T, b, R, TILE_WIDTH)
            for n, place in enumerate(places):
                emit.store_masked(sums[n], place, masks[n % TILE_WIDTH])


@vector_code
def _copy_row(emit: Emitter, source: View, target: View, valid: ir.Value) -> None:
    """Copy `valid` numbers into a row of a panel and fill the rest of the row with 0."""
    for v in range(TILE_WIDTH):
        mask = emit.first(emit.builder.sub(valid, emit.index(v * emit.lanes)))
        vec = emit.load_masked(emit.move(source.pointer, v * emit.lanes), mask)
        emit.store(vec, emit.move(target.pointer, v * emit.lanes))


@kernel
def tile_height(rows):
    """Return the height of the next tile where `rows` are left: the tallest, unless the rest would fit badly."""
    for height in HEIGHTS:
        # 8 rows go as 4 + 4, not as 6 + 1 + 1
        if rows >= height and not (height == 6 and rows == 8):
            return height
    return 1


@kernel
def multiply_rows(a, packed, start, out):
    """out = start + a @ b: a (M, K), packed (panels, K, panel width), start (panels, panel width), out (M, N)."""
    M, N = out.shape
    full = packed.shape[2]
    lanes = full // TILE_WIDTH
    for q in range(packed.shape[0]):
        left = N - q * full
        # The last panel goes by single registers where it is not full.
        width, step = (TILE_WIDTH, full) if left > full - lanes else (1, lanes)
        for v in range(0, min(left, full), step):
            low = 0
            while low < M:
                high = low + tile_height(M - low)
                _multiply_tile(
                    high - low,
                    width,
                    a[low:high],
                    packed[q, :, v:],
                    start[q, v:],
                    out[low:high, q * full + v : q * full + v + step],
                )
                low = high


@kernel
def copy_panel(source, column, panel):
    """Copy the columns from `column` on of source (rows, N) into panel (rows, panel width)."""
    for r in range(source.shape[0]):
        _copy_row(source[r, column:], panel[r], source.shape[1] - column)


@kernel
def add_gradient(a, panel, out, step, valid, less):
    """out += a.T @ panel for a (K, M) and panel (K, panel width); `_gradient_tile` says where each piece lies."""
    low, M = 0, a.shape[1]
    while low < M:
        high = low + tile_height(M - low)
        _gradient_tile(high - low, a[:, low:high], panel, out[low:high], step, valid, less)
        low = high
