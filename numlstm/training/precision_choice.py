"""Choose the precision of a new run by trying each on this machine: `--precision auto`."""

from __future__ import annotations

import math
import time

import numpy as np

from ..backends.protocol import Array, Backend
from ..errors import BackendError
from ..network.network import Network
from ..settings.network import NetworkSettings
from ..settings.training import TrainingSettings
from ..text.dataset.streams import AnyIds

CANDIDATES = ("float32", "bf16", "tf32")  # fp16 needs its losses scaled, and is not faster than bf16
_STEPS = 5  # timed after one that may compile kernels
_LOSS, _NORM = 0.01, 0.1  # the largest relative differences from float32
_FASTER = 0.95  # of float32's time, at most: otherwise its accuracy is worth more


def fastest(shape: NetworkSettings, flat: Array, backend: Backend, config: TrainingSettings, ids: AnyIds) -> str:
    """Return the fastest precision whose loss and gradient norm on the text's first batch are close to float32's."""
    size = config.batch_size * config.seq_len + 1
    first = np.resize(np.asarray(ids[:size], np.int32), size)
    x, y = (backend.asarray(part.reshape(config.seq_len, config.batch_size)) for part in (first[:-1], first[1:]))
    best, expected, least = "float32", (math.nan, math.nan), math.inf
    for precision in CANDIDATES if shape.dtype == "float32" else CANDIDATES[:1]:
        try:
            network = Network(shape, flat, backend, precision=precision)
        except BackendError:
            continue
        seconds, loss, norm = _tried(network, x, y)
        if precision == "float32":
            expected, least = (loss, norm), _FASTER * seconds
        elif seconds < least and _close(loss, expected[0], _LOSS) and _close(norm, expected[1], _NORM):
            best, least = precision, seconds
    return best


def _close(found: float, expected: float, most: float) -> bool:
    return abs(found - expected) <= most * abs(expected)


def _tried(network: Network, x: Array, y: Array) -> tuple[float, float, float]:
    """Return the median seconds of a forward and backward pass, the loss and the norm of the gradient."""
    taken = []
    for _ in range(1 + _STEPS):
        began = time.perf_counter()
        loss = float(network.gradients_(x, y)[0])  # waits for the device
        norm = float(network.backend.global_norm(network.grads))
        taken.append(time.perf_counter() - began)
    return sorted(taken[1:])[_STEPS // 2], loss, norm
