"""Which layers there are beside the plain LSTM. `reference/lstm.py` has their equations."""

from __future__ import annotations

from typing import Any, NamedTuple

Array = Any

EPSILON = 1e-5  # added to the variance that layer norm divides by the root of


class Variant(NamedTuple):
    """What a layer has beyond the plain LSTM, None where it has not: see `reference/lstm.py` for the equations.

    `W_p (H, R)` projects the H units to an h of R entries. `gain (4H)` scales the normalised inputs of the gates, and
    `c_gain`, `c_bias (H)` scale and move the normalised cell; all three or none. `hard` makes the gates i, f and o
    clip(0.2 z + 0.5, 0, 1).
    """

    W_p: Array = None
    gain: Array = None
    c_gain: Array = None
    c_bias: Array = None
    hard: bool = False


PLAIN = Variant()
