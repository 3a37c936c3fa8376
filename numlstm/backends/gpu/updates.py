"""Norms and optimizers, as passes over flat arrays: `kernels/sums.cu` and `kernels/updates.cu`.

The norm of the gradients stays on the device, where clipping reads it, so no step waits. The equations are in
`reference/optimizers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol import Array, Packed
from ..spec.gradients import Scaling
from .device_numbers import SUMS, SUMS_SHARED, Number
from .lazy_cupy import cp
from .modules import blocks_for, launch

THREADS = 256
PER_BLOCK = 8192  # entries whose squares one block of kernels/sums.cu sums


def global_norm(grads: Array) -> Number:
    return _norm("squares", grads)


def unscale_(grads: Array, scale: Array) -> Number:
    norm = _norm("unscaled_squares", grads, scale)
    arguments = (scale, norm.array, *map(np.float64, (Scaling.PATIENCE, Scaling.LEAST, Scaling.MOST)))
    launch("sums", "adjust", grads.dtype, (1,), (1,), arguments)
    return norm


def _norm(kernel: str, grads: Array, *more: Array) -> Number:
    blocks = max(1, -(-grads.size // PER_BLOCK))
    partial = cp.empty(blocks, np.float64)
    arguments = (grads, np.int64(grads.size), *more, partial)
    launch("sums", kernel, grads.dtype, (blocks,), SUMS, arguments, shared=SUMS_SHARED)
    norm = Number()
    arguments = (partial, np.int32(blocks), norm.array)
    launch("sums", "root", grads.dtype, (1,), SUMS, arguments, shared=SUMS_SHARED)
    return norm


def _clip_factor(norm: Number, clip: float, dtype: npt.DTypeLike) -> Array:
    """Return a device array (1): min(1, clip / (norm + 1e-6)), 1 if clip is 0, NaN if the norm is not finite."""
    factor = cp.empty(1, dtype)
    launch("sums", "clip_factor", dtype, (1,), (1,), (norm.array, np.float64(clip), factor))
    return factor


def _pass(kernel: str, arrays: Sequence[Array], *arguments: Any) -> None:
    """Launch a kernel over flat arrays; Python numbers are passed in the arrays' dtype."""
    size, dtype = arrays[0].size, arrays[0].dtype
    exact = [dtype.type(each) if isinstance(each, (int, float)) else each for each in arguments]
    launch("updates", kernel, dtype, blocks_for(size, THREADS), (THREADS,), (*arrays, np.int64(size), *exact))


def adam_(
    params: Array,
    grads: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    norm: Number,
    clip: float,
    l2: float = 0.0,
    decay: float = 0.0,
    packed: Sequence[Packed] = (),
) -> None:
    factor = _clip_factor(norm, clip, params.dtype)
    unbiased_lr, unbias = lr / (1 - beta1**step), 1 / (1 - beta2**step)
    rates = (unbiased_lr, 1 - beta1, 1 - beta2, unbias, epsilon, l2, 1 - lr * decay)
    _pass("adam", (params, grads, m, v), factor, *rates)
    for each in packed:
        each.mark_stale()


def update_(
    rule: str,
    params: Array,
    grads: Array,
    slots: Sequence[Array],
    *,
    lr: float,
    norm: Number,
    clip: float,
    settings: Mapping[str, float],
) -> None:
    factor = _clip_factor(norm, clip, params.dtype)
    s = settings
    if rule == "ftrl":
        _pass("ftrl", (params, grads, *slots), factor, lr, -s["lr_power"], s["l1"], s["l2"])
    elif rule == "adagrad":
        _pass("adagrad", (params, grads, slots[0]), factor, lr, s["weight_decay"], s["epsilon"])
    elif rule == "rmsprop":  # without momentum there is no velocity: the kernel ignores slots[-1]
        rates = s["weight_decay"], 1 - s["rho"], s["epsilon"], s["momentum"]
        _pass("rmsprop", (params, grads, slots[0], slots[-1]), factor, lr, *rates)
    else:
        velocity = slots[-1] if slots else params
        momentum, nesterov = s.get("momentum", 0.0), np.int32(bool(s.get("nesterov")))
        _pass("sgd", (params, grads, velocity), factor, lr, s["weight_decay"], momentum, nesterov)


def clamp_(values: Array, bound: float) -> None:
    _pass("clamp", (values,), bound)


def approach_(values: Array, to: Array, share: float) -> None:
    _pass("approach", (values, to), share)
