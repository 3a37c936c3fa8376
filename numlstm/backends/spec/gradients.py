"""What becomes of gradients before an update: clipping by their norm, and the loss scale of 16-bit gradients."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def clipping(norm: SupportsFloat, clip: float) -> float:
    """Return what gradients of that norm are multiplied by so that it is at most `clip` (0: no bound).

    As PyTorch's `clip_grad_norm_` does (Pascanu et al. 2013). Returns 0 for a norm that is not finite: there is then no
    update.
    """
    size = float(norm)
    if not math.isfinite(size):
        return 0.0
    return min(1.0, clip / (size + 1e-6)) if clip else 1.0


class Scaling:
    """How a loss scale follows the norms (Micikevicius et al. 2018): 16-bit gradients shall be neither 0 nor infinite.

    It is halved, not below `LEAST`, after an update whose norm is not finite, and doubled, not above `MOST`, after
    `PATIENCE` updates without one. All are powers of two, so that scaling rounds nothing.
    """

    START, LEAST, MOST, PATIENCE = 2.0**16, 1.0, 2.0**24, 2000


def global_norm(grads: Array) -> float:
    """Return the Euclidean norm of a flat array, summed in float64."""
    return float(np.sqrt(np.sum(np.square(grads, dtype=np.float64))))


def unscale_(grads: Array, scale: Array) -> float:
    """Do in NumPy what `Backend.unscale_` says."""
    grads /= grads.dtype.type(scale[0])
    norm = global_norm(grads)
    if not np.isfinite(norm):
        scale[:] = max(scale[0] / 2, Scaling.LEAST), 0
    else:
        scale[1] += 1
        if scale[1] == Scaling.PATIENCE:
            scale[:] = min(scale[0] * 2, Scaling.MOST), 0
    return norm
