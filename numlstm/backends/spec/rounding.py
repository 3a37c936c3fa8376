"""Weights rounded to fewer bits for generation: to bf16, or to int8 with a scale for each column.

All backends round alike, so that a model has the same loss on each. Rounding rounded weights changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROUNDINGS = ("bf16", "int8")

_LARGEST = 127


def rounded(W: Array, rounding: str) -> Array:
    """Return W (..., K, N) with each entry rounded to bf16 or int8, in W's own dtype; unchanged if `rounding` is ""."""
    if not rounding:
        return W
    if rounding == "bf16":
        return to_bf16(W).astype(W.dtype)
    q, scale = quantised(W)
    with np.errstate(invalid="ignore"):
        return np.asarray(q * scale, W.dtype)


def to_bf16(W: Array) -> Array:
    """Return float32 numbers rounded to bf16, the upper half of a float32: to nearest, ties to even."""
    bits = np.ascontiguousarray(W, np.float32).view(np.uint32)
    up = bits + ((bits >> 16 & 1) + 0x7FFF)
    return np.asarray(np.where(np.isfinite(W), up & 0xFFFF0000, bits).astype(np.uint32).view(np.float32))


def quantised(W: Array) -> tuple[Array, Array]:
    """Return int8 q (..., K, N) and float32 scales (..., 1, N), where q * scale is closest to W.

    A scale is a column's largest magnitude / 127, rounded up to 16 significant bits: float32 then holds q * scale
    exactly.
    """
    largest = np.abs(W).max(axis=-2, keepdims=True, initial=0).astype(np.float32)
    bits = np.ascontiguousarray(largest / np.float32(_LARGEST)).view(np.uint32)
    scale = ((bits + 0xFF) & 0xFFFFFF00).astype(np.uint32).view(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # weights of a run that diverged
        q = np.rint(np.divide(W, scale, out=np.zeros(W.shape, np.float64), where=scale > 0))
        return q.astype(np.int8), scale
