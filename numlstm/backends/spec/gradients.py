"""Processing of gradients before an update: clipping by norm, and the loss scale of 16-bit gradients."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def clipping(norm: SupportsFloat, clip: float) -> float:
    """Return the factor that reduces gradients of that norm to a norm of at most `clip` (0: no bound).

    As PyTorch's `clip_grad_norm_` (Pascanu et al. 2013). Returns 0 for a norm that is not finite, to skip the update.
    """
    size = float(norm)
    if not math.isfinite(size):
        return 0.0
    return min(1.0, clip / (size + 1e-6)) if clip else 1.0


class Scaling:
    """Dynamic loss scaling (Micikevicius et al. 2018), which keeps 16-bit gradients from underflow and overflow.

    The scale is halved, but not below `LEAST`, after an update whose norm is not finite. It is doubled, but not above
    `MOST`, after `PATIENCE` updates with finite norms. All scales are powers of two, so scaling does not round.
    """

    START, LEAST, MOST, PATIENCE = 2.0**16, 1.0, 2.0**24, 2000


def global_norm(grads: Array) -> float:
    """Return the Euclidean norm of a flat array, summed in float64."""
    return float(np.sqrt(np.sum(np.square(grads, dtype=np.float64))))


def unscale_(grads: Array, scale: Array) -> float:
    """Implement `Backend.unscale_` in NumPy."""
    grads /= grads.dtype.type(scale[0])
    norm = global_norm(grads)
    if not np.isfinite(norm):
        scale[:] = max(scale[0] / 2, Scaling.LEAST), 0
    else:
        scale[1] += 1
        if scale[1] == Scaling.PATIENCE:
            scale[:] = min(scale[0] * 2, Scaling.MOST), 0
    return norm
