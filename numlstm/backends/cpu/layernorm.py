"""Layer norm over the units of panels, forward and backward, for the gates' inputs (four groups) or the cell (one).

Arrays are (P, T + 1, B, G lanes): G groups of H units each, in P panels. Padding in the last panel is 0 and stays 0.
The equations are those of `normalise` and `normalise_backward` in `reference/lstm.py`. The loops are plain because LLVM
vectorises them.
"""

from __future__ import annotations

import functools
import math

from ..spec.variant import EPSILON
from .jit import kernel

_quick = functools.partial(kernel, fastmath={"reassoc", "contract"})


@_quick
def _sum(values, first, count):
    total = values.dtype.type(0)
    for n in range(first, first + count):
        total += values[n]
    return total


@_quick
def _sum_of_squares(values, first, count, mean):
    total = values.dtype.type(0)
    for n in range(first, first + count):
        total += (values[n] - mean) * (values[n] - mean)
    return total


@_quick
def _sum_of_products(a, b, first, count):
    total = a.dtype.type(0)
    for n in range(first, first + count):
        total += a[n] * b[n]
    return total


@kernel
def normalise(t, low, high, H, a, n, scale, gain, bias, out):
    """n = a with mean 0 and variance 1 over each group; out = gain * n + bias; for step t and the rows low:high.

    gain, bias (P, G lanes); scale (T + 1, B, G) receives each group's factor. `out` may be `a`.
    """
    P, G = a.shape[0], scale.shape[2]
    VL, kind = a.shape[3] // G, a.dtype.type
    for b in range(low, high):
        for g in range(G):
            total = kind(0)
            for p in range(P):
                total += _sum(a[p, t, b], g * VL, min(VL, H - p * VL))
            mean, squares = total / kind(H), kind(0)
            for p in range(P):
                squares += _sum_of_squares(a[p, t, b], g * VL, min(VL, H - p * VL), mean)
            factor = kind(1 / math.sqrt(squares / H + EPSILON))
            scale[t, b, g] = factor
            for p in range(P):
                old, new, result, up, more = a[p, t, b], n[p, t, b], out[p, t, b], gain[p], bias[p]
                for k in range(g * VL, g * VL + min(VL, H - p * VL)):
                    value = (old[k] - mean) * factor
                    new[k] = value
                    result[k] = up[k] * value + more[k]


@kernel
def normalise_backward(t, low, high, H, dout, n, scale, gain, dgain, dbias):
    """Replace dout, the gradient of the `out` of `normalise`, with the gradient of `a`; add to dgain and dbias."""
    P, G = n.shape[0], scale.shape[2]
    VL, kind = n.shape[3] // G, n.dtype.type
    for b in range(low, high):
        for p in range(P):
            _add_sums(dout[p, t, b], n[p, t, b], gain[p], dgain[p], dbias[p])
        for g in range(G):
            total, along = kind(0), kind(0)
            for p in range(P):
                total += _sum(dout[p, t, b], g * VL, min(VL, H - p * VL))
                along += _sum_of_products(dout[p, t, b], n[p, t, b], g * VL, min(VL, H - p * VL))
            mean, along, factor = total / kind(H), along / kind(H), scale[t, b, g]
            for p in range(P):
                given, normed = dout[p, t, b], n[p, t, b]
                for k in range(g * VL, g * VL + min(VL, H - p * VL)):
                    given[k] = factor * (given[k] - mean - normed[k] * along)


@kernel
def _add_sums(dout, n, gain, dgain, dbias):
    """Add a row's part to dgain and dbias and turn dout into the gradient of n. In the padding gain is 0."""
    for k in range(dout.shape[0]):
        dgain[k] += dout[k] * n[k]
        dbias[k] += dout[k]
        dout[k] *= gain[k]
