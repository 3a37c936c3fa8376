"""Sums over all rows of a sequence, in an order that is always the same. Knows nothing about what the rows mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from .modules import launch

Array = Any
FILE = "gradients"
COLUMNS, LANES = 32, 16  # threads of a block: columns side by side, and lanes that share the rows


def _blocks(columns: int) -> int:
    return -(-columns // COLUMNS)


def _launch(name: str, values: Array, grid: tuple[int, ...], *arguments: Any) -> None:
    shared = LANES * COLUMNS * max(values.dtype.itemsize, 4)
    launch(FILE, name, values.dtype, grid, (COLUMNS, LANES), arguments, shared=shared)


def add_column_sums(values: Array, out: Array, times: Array = None) -> None:
    """Add to out (N) the sums of the columns of values (..., N), or of their products with `times` (..., N)."""
    N = out.size
    factors = values if times is None else times
    numbers = (np.int64(values.size // N), np.int32(N), np.int32(times is not None))
    _launch("add_column_sums", values, (_blocks(N),), values, factors, out, *numbers)


def add_rows(ids: Array, values: Array, out: Array) -> None:
    """Add each row of values (P, N) to the row of out (V, N) that its id, of ids (P), chose."""
    V, N = out.shape
    _launch("add_rows", values, (V, _blocks(N)), ids, values, out, np.int32(ids.size), np.int32(N))
