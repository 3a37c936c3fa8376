"""exp, sigmoid and tanh of a vector register, for float32 and float64.

All three use one series. With n the integer nearest to x / ln 2 and r = x - n ln 2,

    exp(x) - 1 = 2^n (exp(r) - 1) + 2^n - 1,    exp(r) - 1 = r + r^2/2! + r^3/3! + ...

which keeps its relative accuracy near zero, and so does tanh(x) = (exp(2x) - 1) / (exp(2x) + 1). NaN stays NaN.
(Numba has no vector exp or tanh. A rational approximation of tanh would save a few products, but works for one
dtype only; `quick_tanh` is one, for bf16.)
"""

from __future__ import annotations

import math

from llvmlite import ir

from .processor import register_file
from .simd import Emitter, Vec

# All by itemsize. The number of terms in the series: the first omitted is below half an ulp for |r| <= ln(2) / 2.
_TERMS = {4: 7, 8: 13}
_MANTISSA_BITS = {4: 23, 8: 52}
_LARGEST = {4: 87.0, 8: 708.0}  # 2^n is a normal number up to this x
_TANH_IS_ONE = {4: 20.0, 8: 44.0}  # tanh(x) rounds to 1 from this 2x on
# ln 2 in two parts (Cody & Waite 1980), the first short enough that n times it is exact.
_LN2_HIGH = {4: 0.693115234375, 8: 0.6931471803691238}
_LN2_LOW = {4: 3.1946184945309415e-05, 8: 1.9082149292705877e-10}


def exp(emit: Emitter, x: Vec) -> Vec:
    """Return e^x for x <= 87 (float32) or 708 (float64), and 0 below the negative bound."""
    largest = _LARGEST[emit.itemsize]
    scale, series = _exp_parts(emit, emit.maximum(x, -largest))
    tiny = emit.builder.fcmp_ordered("<", x.value, emit.vec(-largest).value)
    result = emit.fma(scale, series, scale)
    return Vec(emit, emit.builder.select(tiny, emit.vec(0.0).value, result.value))


def sigmoid(emit: Emitter, x: Vec) -> Vec:
    """Return 1 / (1 + e^-x), with a small relative error even where the result is tiny."""
    largest = _LARGEST[emit.itemsize]
    scale, series = _exp_parts(emit, emit.minimum(emit.maximum(-x, -largest), largest))
    return _reciprocal(emit, emit.fma(scale, series, scale) + 1.0)


def hard_sigmoid(emit: Emitter, x: Vec) -> Vec:
    """Return clip(0.2 x + 0.5, 0, 1)."""
    return emit.minimum(emit.maximum(emit.fma(x, 0.2, 0.5), 0.0), 1.0)


def tanh(emit: Emitter, x: Vec) -> Vec:
    """Return tanh(x), with a small relative error even near 0."""
    largest = _TANH_IS_ONE[emit.itemsize]
    scale, series = _exp_parts(emit, emit.minimum(emit.maximum(x + x, -largest), largest))
    expm1 = emit.fma(scale, series, scale - 1.0)
    return expm1 * _reciprocal(emit, expm1 + 2.0)


# For products of bf16 numbers, which keep 8 bits: all errors below 2^-13.6, in half the instructions. The coefficients
# minimise the largest relative error (found by reweighted least squares): 2^r by a cubic for |r| <= 1/2, and
# tanh(x) / x by P(x^2) / Q(x^2) for |x| <= 5. tanh through exp would lose its relative accuracy near 0.
_EXP2 = (0.9999280748220012, 0.6932610109154085, 0.24261111178197003, 0.055171531221765296)
_TANH_P = (0.9999999386504997, 0.1254828304370531, 0.0025090701570234042, 5.1834153847301095e-06)
_TANH_Q = (1.0, 0.45881555899328996, 0.022115251404138017, 0.0001690467992165628)
_TANH_LARGEST, _SIGMOID_LARGEST = 5.0, 80.0


def quick_sigmoid(emit: Emitter, x: Vec) -> Vec:
    """Return 1 / (1 + e^-x) for float32, with a relative error of 2^-13.6."""
    x = emit.minimum(emit.maximum(x, -_SIGMOID_LARGEST), _SIGMOID_LARGEST)
    rounder = 1.5 * 2.0**23
    shifted = emit.fma(x, -1 / math.log(2), rounder)
    r = emit.fma(x, -1 / math.log(2), -(shifted - rounder))
    power, builder = _polynomial(emit, _EXP2, r), emit.builder
    exponent = builder.shl(builder.bitcast(shifted.value, emit.bits), ir.Constant(emit.bits, [23] * emit.lanes))
    scaled = builder.add(exponent, builder.bitcast(power.value, emit.bits))  # times 2^n
    return _estimated_reciprocal(emit, Vec(emit, builder.bitcast(scaled, emit.vector)) + 1.0)


def quick_tanh(emit: Emitter, x: Vec) -> Vec:
    """Return tanh(x) for float32, with a relative error of 2^-13.6."""
    x = emit.minimum(emit.maximum(x, -_TANH_LARGEST), _TANH_LARGEST)
    square = x * x
    return x * _polynomial(emit, _TANH_P, square) * _estimated_reciprocal(emit, _polynomial(emit, _TANH_Q, square))


def _polynomial(emit: Emitter, coefficients: tuple[float, ...], x: Vec) -> Vec:
    total = emit.vec(coefficients[-1])
    for each in reversed(coefficients[:-1]):
        total = emit.fma(total, x, each)
    return total


def _estimated_reciprocal(emit: Emitter, x: Vec) -> Vec:
    """Return 1 / x for x in [1, 2^126], with AVX-512 and float32 to 14 bits."""
    if register_file().name != "AVX-512" or emit.itemsize != 4:
        return 1.0 / x
    every = ir.Constant(ir.IntType(16), 2**16 - 1)
    estimate: Vec = emit.call("llvm.x86.avx512.rcp14.ps.512", x, emit.vec(0.0), every)
    return estimate


def _reciprocal(emit: Emitter, x: Vec) -> Vec:
    """Return 1 / x for x in [1, 2^126].

    With AVX-512 and float32, use the processor's estimate, accurate to 14 bits, and a Newton step: 4 cycles, where a
    division takes 16. Five divisions took a third of the cell's time.
    """
    if register_file().name != "AVX-512" or emit.itemsize != 4:
        return 1.0 / x
    estimate = _estimated_reciprocal(emit, x)
    return emit.fma(estimate, emit.fma(-x, estimate, 1.0), estimate)


def _exp_parts(emit: Emitter, x: Vec) -> tuple[Vec, Vec]:
    """Return 2^n and exp(r) - 1 where x = n ln 2 + r."""
    size, bits = emit.itemsize, _MANTISSA_BITS[emit.itemsize]
    # Adding 1.5 * 2^bits rounds to an integer and leaves it in the low bits of the mantissa.
    rounder = 1.5 * 2.0**bits
    shifted = emit.fma(x, 1 / math.log(2), rounder)
    n = shifted - rounder
    r = emit.fma(n, -_LN2_LOW[size], emit.fma(n, -_LN2_HIGH[size], x))
    series = emit.vec(1 / math.factorial(_TERMS[size]))
    for k in range(_TERMS[size] - 1, 0, -1):
        series = emit.fma(series, r, 1 / math.factorial(k))
    return _power_of_two(emit, shifted, bits), series * r


def _power_of_two(emit: Emitter, shifted: Vec, bits: int) -> Vec:
    """Return 2^n, building its exponent from n, which is in the low bits of `shifted`."""
    exponent_bias = 2 ** (8 * emit.itemsize - bits - 2) - 1
    whole = emit.builder.bitcast(shifted.value, emit.bits)
    up = emit.builder.shl(whole, ir.Constant(emit.bits, [bits] * emit.lanes))
    biased = emit.builder.add(up, ir.Constant(emit.bits, [exponent_bias << bits] * emit.lanes))
    return Vec(emit, emit.builder.bitcast(biased, emit.vector))
