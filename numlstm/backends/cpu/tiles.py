"""Products of bf16 numbers in tiles: AMX instructions of Intel's processors, or the same in plain vector code.

A tile is a register of up to 16 rows of 64 bytes. `Tiles.dot` multiplies a tile of bf16 numbers (rows, 32) by one of
16 pairs of rows and 16 columns, and adds the products to a tile of float32 sums (rows, 16). Tiles 0 to 3 hold sums, 4
and 5 left-hand, 6 and 7 right-hand factors. `configure` sets how many rows they have, for the calling thread, until it
is called again; right-hand tiles always have 16.

With NUMLSTM_AMX=emulated the tiles lie in memory and every instruction is written as vector code, with the same result
to the bit: the first and the second numbers of the 16 pairs add up apart, from 0, and then both are added to the sums.
(Only denormal numbers differ: the instruction takes them for 0.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils

from . import bf16
from .jit import kernel
from .packing import aligned
from .processor import tiles_emulated
from .simd import INDEX, PAIR, Emitter, Vec, View, vector_code

ROWS, ROW_BYTES, COLUMNS = 16, 64, 16  # of a tile; it has 16 columns of float32 numbers or of pairs
PANEL_ROW = 256  # bytes of a row of a panel: four tiles side by side
_SUMS, _LEFT, _RIGHT = (0, 1, 2, 3), (4, 5), (6, 7)
_BYTE, _VOID = ir.IntType(8), ir.VoidType()


def _palettes() -> npt.NDArray[np.uint8]:
    """Return the configurations (17, 64) in which sums and left-hand tiles have 0 to 16 rows."""
    found = aligned((ROWS + 1, 64), np.uint8)
    found[:, 0] = 1
    found[:, 16:32:2] = ROW_BYTES
    found[:, 48:54] = np.arange(ROWS + 1)[:, None]
    found[:, 54:56] = ROWS
    return found


PALETTES = _palettes()  # by rows


@vector_code
def configure(emit: Emitter, config: View) -> None:
    """Set the rows of this thread's tiles to those of `config (64)`; all tiles become 0."""
    if not tiles_emulated():
        _call(emit, "llvm.x86.ldtilecfg", config.pointer)


@vector_code
def release(emit: Emitter, config: View) -> None:
    """Declare that this thread needs its tiles no longer: a switch to another thread then saves less."""
    if not tiles_emulated():
        _call(emit, "llvm.x86.tilerelease")


def _call(emit: Emitter, name: str, *args: Any) -> None:
    values = [ir.Constant(_BYTE, arg) if isinstance(arg, int) else arg for arg in args]
    values = [emit.builder.bitcast(v, _BYTE.as_pointer()) if isinstance(v.type, ir.PointerType) else v for v in values]
    kind = ir.FunctionType(_VOID, [value.type for value in values])
    emit.builder.call(cgutils.get_or_insert_function(emit.builder.module, kind, name), values)


def advance(emit: Emitter, pointer: ir.Value, count: ir.Value | int) -> ir.Value:
    """Return `pointer` advanced by `count` bytes."""
    step = emit.index(count) if isinstance(count, int) else count
    return emit.builder.gep(pointer, [step], source_etype=_BYTE)


def row_bytes(view: View, axis: int = 0) -> ir.Value:
    """Return how many bytes apart the entries of a view of 4-byte elements are along an axis."""
    return view.emit.builder.mul(view.strides[axis], view.emit.index(4))


class Tiles:
    """Emits tile instructions, for tiles with the numbers of rows in `config`."""

    def __init__(self, emit: Emitter, config: View) -> None:
        self.emit, self.config = emit, config
        if tiles_emulated():
            self.floats = ir.VectorType(ir.FloatType(), COLUMNS)
            self.memory = cgutils.alloca_once(emit.builder, ir.ArrayType(self.floats, 8 * ROWS))

    def zero(self, tile: int) -> None:
        """Set a tile to 0."""
        if not tiles_emulated():
            return _call(self.emit, "llvm.x86.tilezero", tile)
        for row in range(ROWS):
            self._put(self._row(tile, row), ir.Constant(self.floats, [0.0] * COLUMNS))
        return None

    def load(self, tile: int, pointer: ir.Value, stride: ir.Value) -> None:
        """Load a tile from rows `stride` bytes apart."""
        if not tiles_emulated():
            return _call(self.emit, "llvm.x86.tileloadd64", tile, pointer, stride)
        with self.emit.loop(self._rows(tile)) as row:
            place = advance(self.emit, pointer, self.emit.builder.mul(row.index, stride))
            self._put(self._row(tile, row.index), self._get(place))
        return None

    def store(self, tile: int, pointer: ir.Value, stride: ir.Value) -> None:
        """Store a tile to rows `stride` bytes apart."""
        if not tiles_emulated():
            return _call(self.emit, "llvm.x86.tilestored64", tile, pointer, stride)
        with self.emit.loop(self._rows(tile)) as row:
            place = advance(self.emit, pointer, self.emit.builder.mul(row.index, stride))
            self._put(place, self._get(self._row(tile, row.index)))
        return None

    def dot(self, sums: int, left: int, right: int) -> None:
        """sums += left @ right."""
        if not tiles_emulated():
            return _call(self.emit, "llvm.x86.tdpbf16ps", sums, left, right)
        builder = self.emit.builder
        f32, pairs = Emitter(builder, ir.FloatType()), Emitter(builder, PAIR)
        with self.emit.loop(self._rows(sums)) as row:
            with f32.loop(f32.index(COLUMNS), [f32.vec(0.0), f32.vec(0.0)]) as inner:  # not unrolled: compiles faster
                a = pairs.broadcast(pairs.move(self._row(left, row.index), inner.index))
                b = Vec(pairs, builder.bitcast(self._get(self._row(right, inner.index)), pairs.vector))
                factors = zip(bf16.halves(f32, a), bf16.halves(f32, b), inner.carried, strict=True)
                inner.carried = [f32.fma(*each) for each in factors]
            even, odd = inner.carried
            total = Vec(f32, self._get(self._row(sums, row.index))) + (even + odd)
            self._put(self._row(sums, row.index), total.value)
        return None

    def _rows(self, tile: int) -> ir.Value:
        builder = self.emit.builder
        return builder.zext(builder.load(advance(self.emit, self.config.pointer, 48 + tile), typ=_BYTE), INDEX)

    def _row(self, tile: int, row: ir.Value | int) -> ir.Value:
        builder, emit = self.emit.builder, self.emit
        place = builder.add(emit.index(row) if isinstance(row, int) else row, emit.index(tile * ROWS))
        return advance(emit, self.memory, builder.mul(place, emit.index(ROW_BYTES)))

    def _get(self, pointer: ir.Value) -> ir.Value:
        return self.emit.builder.load(pointer, typ=self.floats, align=4)

    def _put(self, pointer: ir.Value, value: ir.Value) -> None:
        builder = self.emit.builder
        builder.store(value, builder.bitcast(pointer, self.floats.as_pointer()), align=4)


@dataclasses.dataclass(frozen=True)
class Factors:
    """A left-hand and a right-hand matrix whose product is added to the sums.

    `left` points to the first row of each tile of rows; rows are `left_stride` bytes apart. The inner dimension has
    `pieces`, `piece_stride` bytes apart, each of `blocks` times 32 places. `right` is a panel of pairs of rows, 256
    bytes from one to the next.
    """

    left: Sequence[ir.Value]
    left_stride: ir.Value
    pieces: ir.Value
    piece_stride: ir.Value
    blocks: int
    right: ir.Value


def tile_product(
    emit: Emitter,
    config: View,
    factors: Sequence[Factors],
    columns: int,
    out: Sequence[ir.Value],
    out_stride: ir.Value,
    *,
    add: bool = False,
) -> None:
    """out = the sum of the products, or with `add` out += it, for `columns` tiles side by side.

    `out` points to the first row of each tile of rows; rows are `out_stride` bytes apart. Two tiles of rows by two of
    columns are fastest, and one by four if there are 16 rows or fewer.
    """
    tiles, R = Tiles(emit, config), len(out)
    for r in range(R):
        for c in range(columns):
            if add:
                tiles.load(_SUMS[r * columns + c], advance(emit, out[r], ROW_BYTES * c), out_stride)
            else:
                tiles.zero(_SUMS[r * columns + c])
    for each in factors:
        with emit.loop(each.pieces) as piece:
            start = emit.builder.mul(piece.index, each.piece_stride)
            panel = emit.builder.mul(piece.index, emit.index(each.blocks * ROWS * PANEL_ROW))
            for block in range(each.blocks):
                left = [advance(emit, advance(emit, pointer, start), ROW_BYTES * block) for pointer in each.left]
                right = advance(emit, advance(emit, each.right, panel), block * ROWS * PANEL_ROW)
                _add_block(tiles, left, each.left_stride, right, columns)
    for r in range(R):
        for c in range(columns):
            tiles.store(_SUMS[r * columns + c], advance(emit, out[r], ROW_BYTES * c), out_stride)


def _add_block(tiles: Tiles, left: Sequence[ir.Value], left_stride: ir.Value, right: ir.Value, columns: int) -> None:
    """Add the product over 32 inner places to the sums. A factor is loaded just before its first product."""
    emit = tiles.emit
    for c in range(columns):
        tiles.load(_RIGHT[c % 2], advance(emit, right, ROW_BYTES * c), emit.index(PANEL_ROW))
        for r, pointer in enumerate(left):
            if c == 0:
                tiles.load(_LEFT[r], pointer, left_stride)
            tiles.dot(_SUMS[r * columns + c], _LEFT[r], _RIGHT[c % 2])


@kernel
def tile_rows(count):
    """Return how many rows the tiles should have that cover `count` rows, alone (up to 16) or in pairs."""
    if count <= ROWS:
        return count
    pairs = (count + 2 * ROWS - 1) // (2 * ROWS)
    return ((count + pairs - 1) // pairs + 1) // 2


def covered(emit: Emitter, count: ir.Value, rows: ir.Value) -> Iterator[tuple[ir.Value, ...]]:
    """Yield the first rows of one tile, then of a pair: what is emitted in between is looped over to cover all rows.

    Only one of the two loops runs: one tile covers up to 16 rows, pairs of tiles cover more. `rows` is the number of
    rows of a tile, from `tile_rows(count)`. Tiles may overlap, so the results must be stored, not added.
    """
    builder = emit.builder
    alone = builder.icmp_signed("<=", count, emit.index(ROWS))
    with emit.loop(builder.zext(alone, INDEX)):
        yield (emit.index(0),)
    pairs = builder.sdiv(builder.add(count, emit.index(2 * ROWS - 1)), emit.index(2 * ROWS))
    most = builder.select(builder.icmp_signed("<", pairs, emit.index(1)), emit.index(1), pairs)
    group = builder.sdiv(builder.add(count, builder.sub(most, emit.index(1))), most)
    with emit.loop(builder.select(alone, emit.index(0), pairs)) as loop:
        start, last = builder.mul(loop.index, group), builder.sub(count, group)
        start = builder.select(builder.icmp_signed("<", start, last), start, last)
        yield (start, builder.sub(builder.add(start, group), rows))


def multiply_rows(
    emit: Emitter, config: View, rows: ir.Value, factors: Sequence[tuple[View, int, View]], out: View
) -> None:
    """out (N, 64) = the sum of the products a @ b for (a, blocks, b) in `factors`.

    a is (N, K pairs), or (pieces, N, 16 blocks pairs) if its inner places lie in pieces; b is a panel (K pairs, 64), K
    a multiple of 16. N may be any number; `rows` is `tile_rows(N)`.
    """
    builder = emit.builder
    for first in covered(emit, out.shape[0], rows):
        columns = 4 if len(first) == 1 else 2
        targets = [advance(emit, out.pointer, builder.mul(row, row_bytes(out))) for row in first]
        for c in range(0, 4, columns):
            products = []
            for a, blocks, b in factors:
                pieces = builder.sdiv(b.shape[0], emit.index(ROWS * blocks))
                stride = row_bytes(a, len(a.strides) - 2)
                left = [advance(emit, a.pointer, builder.mul(row, stride)) for row in first]
                between = row_bytes(a) if len(a.strides) == 3 else emit.index(ROW_BYTES * blocks)
                right = advance(emit, b.pointer, ROW_BYTES * c)
                products.append(Factors(left, stride, pieces, between, blocks, right))
            there = [advance(emit, target, ROW_BYTES * c) for target in targets]
            tile_product(emit, config, products, columns, there, row_bytes(out))
