"""Variants of the LSTM layer. `reference/lstm.py` has their equations."""

from __future__ import annotations

from typing import Any, NamedTuple

Array = Any

EPSILON = 1e-5  # added to the variance in layer norm, before its square root is taken


class Variant(NamedTuple):
    """What a layer adds to the plain LSTM; None for each part that it lacks.

    `W_p (H, R)` projects the H units to an h of R entries. `gain (4H)` scales the normalised gate inputs, and `c_gain`,
    `c_bias (H)` scale and shift the normalised cell; a layer has all three or none. `hard` makes the gates i, f and o
    clip(0.2 z + 0.5, 0, 1).
    """

    W_p: Array = None
    gain: Array = None
    c_gain: Array = None
    c_bias: Array = None
    hard: bool = False


PLAIN = Variant()
