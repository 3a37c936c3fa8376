"""Products of bf16 numbers with float32 sums, in registers that hold pairs of them.

A bf16 number is the upper half of a float32. Two consecutive numbers along the inner dimension of a product share 32
bits, the first in the lower half. A register therefore holds as many pairs as float32 lanes, and a product of pairs
reads its operands like a float32 product.
"""

from __future__ import annotations

from llvmlite import ir

from .processor import bf16_instructions
from .simd import PAIR, Emitter, Vec

_UPPER_HALF = 0xFFFF0000


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat type, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def rounded(emit: Emitter, vec: Vec) -> Vec:
    """Return float32 lanes rounded to the nearest bf16 (ties to even), in the upper half of 32 bits."""
    builder, pairs = emit.builder, Emitter(emit.builder, PAIR)
    bits = builder.bitcast(vec.value, pairs.vector)
    odd = builder.and_(builder.lshr(bits, pairs.vec(16).value), pairs.vec(1).value)
    up = builder.add(bits, builder.add(odd, pairs.vec(0x7FFF).value))
    return Vec(pairs, builder.and_(up, pairs.vec(_UPPER_HALF).value))


def pair(emit: Emitter, first: Vec, second: Vec) -> Vec:
    """Round two float32 registers to bf16 and return the pairs (first, second), lane by lane."""
    low, high = rounded(emit, first), rounded(emit, second)
    builder = emit.builder
    return Vec(high.emit, builder.or_(high.value, builder.lshr(low.value, high.emit.vec(16).value)))


def store_halves(emit: Emitter, vec: Vec, pointer: ir.Value) -> None:
    """Store float32 lanes as adjacent bf16 numbers: half as many pairs as lanes."""
    builder, half = emit.builder, ir.VectorType(ir.IntType(16), emit.lanes)
    if bf16_instructions() and emit.lanes == 16:
        words = ir.VectorType(_BFloat(), emit.lanes)
        narrow = builder.bitcast(emit.call("llvm.x86.avx512bf16.cvtneps2bf16.512", vec, returns=words), half)
    else:
        upper = rounded(emit, vec)
        narrow = builder.trunc(builder.lshr(upper.value, upper.emit.vec(16).value), half)
    builder.store(narrow, builder.bitcast(pointer, half.as_pointer()), align=2)


def store_two(emit: Emitter, first: Vec, second: Vec, pointer: ir.Value) -> None:
    """Store two float32 registers one after the other as adjacent bf16 numbers: as many pairs as lanes."""
    store_halves(emit, first, pointer)
    store_halves(emit, second, Emitter(emit.builder, PAIR).move(pointer, emit.lanes // 2))


def load_two(emit: Emitter, pointer: ir.Value) -> tuple[Vec, Vec]:
    """Load what `store_two` stored."""
    return load_halves(emit, pointer), load_halves(emit, Emitter(emit.builder, PAIR).move(pointer, emit.lanes // 2))


def load_halves(emit: Emitter, pointer: ir.Value) -> Vec:
    """Load adjacent bf16 numbers into float32 lanes, one per lane."""
    builder, half = emit.builder, ir.VectorType(ir.IntType(16), emit.lanes)
    pairs = Emitter(builder, PAIR)
    wide = builder.zext(builder.load(pointer, typ=half, align=2), pairs.vector)
    return Vec(emit, builder.bitcast(builder.shl(wide, pairs.vec(16).value), emit.vector))


def dot(emit: Emitter, a: Vec, b: Vec, c: Vec) -> Vec:
    """Return a0 * b0 + a1 * b1 + c for pairs (a0, a1) and (b0, b1) and float32 c, lane by lane."""
    builder = emit.builder
    if not bf16_instructions():
        first, second = (halves(emit, x) for x in (a, b))
        return emit.fma(first[0], second[0], emit.fma(first[1], second[1], c))
    pairs = ir.VectorType(_BFloat(), 2 * emit.lanes)
    values = [builder.bitcast(x.value, pairs) for x in (a, b)]
    result: Vec = emit.call("llvm.x86.avx512bf16.dpbf16ps.512", c, *values)
    return result


def halves(emit: Emitter, pairs: Vec) -> tuple[Vec, Vec]:
    """Return the first and the second number of each pair as float32."""
    builder, upper = emit.builder, pairs.emit.vec(_UPPER_HALF).value
    low = builder.shl(pairs.value, pairs.emit.vec(16).value)
    high = builder.and_(pairs.value, upper)
    return Vec(emit, builder.bitcast(low, emit.vector)), Vec(emit, builder.bitcast(high, emit.vector))
