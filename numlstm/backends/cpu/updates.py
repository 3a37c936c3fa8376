"""The backend's functions that update parameters: each passes flat arrays or packed weights to the kernels.

The kernels are in `adam_kernels.py`, `optimizer_kernels.py` and `packing.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol import Number
from ..spec.gradients import clipping, unscale_
from . import adam_kernels, optimizer_kernels, packing
from .packing import PackedDense, PackedLSTM, PendingUpdate
from .threads import kernel_lock, shards

Array = npt.NDArray[Any]

__all__ = ["adam_", "approach_", "clamp_", "global_norm", "unscale_", "update_"]


def global_norm(grads: Array) -> float:
    sums = np.zeros(-(-len(grads) // adam_kernels.CHUNK))
    with kernel_lock:
        adam_kernels.sums_of_squares(grads, sums, shards=shards())
    return math.sqrt(sums.sum())


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
    packed: Sequence[PackedLSTM | PackedDense] = (),
) -> None:
    scale = clipping(norm, clip)
    if not scale:
        return
    rule = adam_kernels.adam_rule(params.dtype, step, lr, beta1, beta2, epsilon, scale, l2, decay)
    learning = PendingUpdate((params, grads, m, v), rule)
    with kernel_lock:
        if not packed:
            adam_kernels.adam(params, grads, m, v, rule, shards=shards(-(-params.size // adam_kernels.CHUNK)))
        for each in packed:
            if isinstance(each, PackedLSTM):
                packing.repack_lstm(each, shards(), learning)
            else:
                packing.repack_dense(each, shards(), learning)


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
    scale = clipping(norm, clip)
    if not scale:
        return
    numbers = optimizer_kernels.numbers(rule, params.dtype, lr, scale, settings)
    both = [*slots, *(np.empty(0, params.dtype) for _ in range(2 - len(slots)))]
    with kernel_lock:
        optimizer_kernels.KERNELS[rule](
            params, grads, *both, numbers, shards=shards(-(-params.size // adam_kernels.CHUNK))
        )


def clamp_(values: Array, bound: float) -> None:
    with kernel_lock:
        adam_kernels.clamp(values, values.dtype.type(bound), shards=shards(-(-values.size // adam_kernels.CHUNK)))


def approach_(values: Array, to: Array, share: float) -> None:
    with kernel_lock:
        adam_kernels.approach(
            values, to, values.dtype.type(share), shards=shards(-(-values.size // adam_kernels.CHUNK))
        )
