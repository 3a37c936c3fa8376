"""The optimizers other than Adam, entry by entry over flat arrays.

The equations are those of `reference.update_`, which cites their sources. Every kernel takes params, grads, two slots
(empty if a rule has none) and its numbers. The argument types are the same, so one launcher serves all kernels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .jit import ShardedKernel


@ShardedKernel
def _momentum(params, grads, velocity, unused, rule, s, shards):
    """Gradient descent with momentum; plain if `velocity` is empty."""
    lr, scale, decay, momentum, nesterov = rule[0], rule[1], rule[2], rule[3], rule[4]
    for n in range(s * params.shape[0] // shards, (s + 1) * params.shape[0] // shards):
        gradient = grads[n] * scale + decay * params[n]
        if velocity.shape[0]:
            velocity[n] = momentum * velocity[n] + gradient
            gradient = gradient + momentum * velocity[n] if nesterov else velocity[n]
        params[n] -= lr * gradient


@ShardedKernel
def _rmsprop(params, grads, square, velocity, rule, s, shards):
    kind = params.dtype.type
    lr, scale, decay, momentum, rho, epsilon = rule[0], rule[1], rule[2], rule[3], rule[4], rule[5]
    rest = kind(1.0) - rho
    for n in range(s * params.shape[0] // shards, (s + 1) * params.shape[0] // shards):
        gradient = grads[n] * scale + decay * params[n]
        square[n] = rho * square[n] + rest * gradient * gradient
        change = gradient / (kind(math.sqrt(square[n])) + epsilon)
        if velocity.shape[0]:
            velocity[n] = momentum * velocity[n] + change
            change = velocity[n]
        params[n] -= lr * change


@ShardedKernel
def _adagrad(params, grads, total, unused, rule, s, shards):
    kind = params.dtype.type
    lr, scale, decay, epsilon = rule[0], rule[1], rule[2], rule[3]
    for n in range(s * params.shape[0] // shards, (s + 1) * params.shape[0] // shards):
        gradient = grads[n] * scale + decay * params[n]
        total[n] += gradient * gradient
        params[n] -= lr * gradient / (kind(math.sqrt(total[n])) + epsilon)


@ShardedKernel
def _ftrl(params, grads, accumulator, linear, rule, s, shards):
    kind = params.dtype.type
    lr, scale, power, l1, l2 = rule[0], rule[1], rule[2], rule[3], rule[4]
    for n in range(s * params.shape[0] // shards, (s + 1) * params.shape[0] // shards):
        gradient = grads[n] * scale
        before = accumulator[n] ** power
        accumulator[n] += gradient * gradient
        after = accumulator[n] ** power
        linear[n] += gradient - (after - before) / lr * params[n]
        z = linear[n]
        if abs(z) > l1:
            params[n] = ((l1 if z > 0 else -l1) - z) / (after / lr + kind(2.0) * l2)
        else:
            params[n] = kind(0.0)


KERNELS = {"sgd": _momentum, "momentum": _momentum, "rmsprop": _rmsprop, "adagrad": _adagrad, "ftrl": _ftrl}

_NUMBERS = {
    "sgd": (),
    "momentum": ("momentum", "nesterov"),
    "rmsprop": ("momentum", "rho", "epsilon"),
    "adagrad": ("epsilon",),
    "ftrl": ("lr_power", "l1", "l2"),
}


def numbers(rule: str, dtype: Any, lr: float, scale: float, settings: Mapping[str, float]) -> npt.NDArray[Any]:
    """Return the numbers that the rule's kernel reads: at most six, padded with zeros."""
    first = [lr, scale] if rule == "ftrl" else [lr, scale, settings["weight_decay"]]
    rest = [-settings[name] if name == "lr_power" else settings[name] for name in _NUMBERS[rule]]
    found: npt.NDArray[Any] = np.zeros(6, dtype)
    found[: len(first) + len(rest)] = [*first, *rest]
    return found
