"""Gradient norm, Adam and other updates over flat arrays, split into chunks of a fixed size.

Chunks, not shards, determine the order of every sum, so the number of threads changes nothing. The loops
are plain because LLVM vectorises them.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .jit import ShardedKernel, kernel

CHUNK = 8192


@functools.partial(kernel, fastmath={"reassoc", "contract"})
def _sum_of_squares(values):
    total = 0.0
    for n in range(values.shape[0]):
        value = np.float64(values[n])  # float() would leave a float32 as it is
        total += value * value
    return total


@ShardedKernel
def sums_of_squares(values, sums, s, shards):
    """sums (chunks) = the sum of squares of each chunk of values (P), in float64."""
    for chunk in range(s * sums.shape[0] // shards, (s + 1) * sums.shape[0] // shards):
        sums[chunk] = _sum_of_squares(values[chunk * CHUNK : (chunk + 1) * CHUNK])


def adam_rule(
    dtype: Any,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    scale: float,
    l2: float = 0.0,
    decay: float = 0.0,
) -> npt.NDArray[Any]:
    """Return the coefficients that `adam_chunk` reads, including the bias corrections for this step."""
    rate, root = lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    return np.array([scale, rate, beta1, beta2, epsilon, root, l2, 1 - lr * decay], dtype)


@kernel
def adam_chunk(params, grads, m, v, rule):
    """Update params, m and v (N) in place."""
    kind = params.dtype.type
    one = kind(1.0)
    scale, rate, beta1, beta2, epsilon, root = rule[0], rule[1], rule[2], rule[3], rule[4], rule[5]
    l2, keep = rule[6], rule[7]
    if l2 == 0 and keep == one:  # no weight decay: the general loop below takes a fourteenth longer
        for n in range(params.shape[0]):
            gradient = grads[n] * scale
            m[n] = beta1 * m[n] + (one - beta1) * gradient
            v[n] = beta2 * v[n] + (one - beta2) * gradient * gradient
            params[n] -= rate * m[n] / (kind(math.sqrt(v[n])) / root + epsilon)
        return
    for n in range(params.shape[0]):
        gradient = grads[n] * scale + l2 * params[n]
        m[n] = beta1 * m[n] + (one - beta1) * gradient
        v[n] = beta2 * v[n] + (one - beta2) * gradient * gradient
        params[n] = params[n] * keep - rate * m[n] / (kind(math.sqrt(v[n])) / root + epsilon)


@ShardedKernel
def adam(params, grads, m, v, rule, s, shards):
    """Update params, m, v (P) in place."""
    low, high = s * params.shape[0] // shards, (s + 1) * params.shape[0] // shards
    adam_chunk(params[low:high], grads[low:high], m[low:high], v[low:high], rule)


@ShardedKernel
def clamp(values, bound, s, shards):
    """Clamp every finite entry of values (P) to [-bound, bound]."""
    for n in range(s * values.shape[0] // shards, (s + 1) * values.shape[0] // shards):
        if abs(values[n]) < np.inf:
            values[n] = min(max(values[n], -bound), bound)


@ShardedKernel
def approach(values, to, share, s, shards):
    """Move every entry of values (P) towards that of `to` by the fraction `share` of the distance."""
    for n in range(s * values.shape[0] // shards, (s + 1) * values.shape[0] // shards):
        values[n] += share * (to[n] - values[n])
