"""Sums of columns over all rows of a sequence, always in the same order. Knows nothing about what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from .lazy import cp
from .modules import blocks_for, launch

Array = Any
COLUMNS, LANES = 32, 16  # threads of a block: columns side by side, and lanes that share the rows
CHUNK_ROWS, MOST_CHUNKS = 256, 64  # few columns would leave most multiprocessors idle: blocks share the rows as well
THREADS = 256


def add_column_sums(values: Array, out: Array, times: Array = None) -> None:
    """Add to out (N) the sums of the columns of values (..., N), or of their products with `times` (..., N)."""
    N = out.size
    rows = values.size // N
    chunk_rows = max(CHUNK_ROWS, -(-rows // MOST_CHUNKS))
    chunks = -(-rows // chunk_rows)
    partial = cp.empty((chunks, N), values.dtype)
    numbers = (np.int64(rows), np.int64(chunk_rows), np.int32(N), np.int32(times is not None))
    factors = values if times is None else times
    grid, shared = (-(-N // COLUMNS), chunks), LANES * COLUMNS * values.dtype.itemsize
    parts = (values, factors, partial, *numbers)
    launch("gradients", "sum_chunks", values.dtype, grid, (COLUMNS, LANES), parts, shared=shared)
    total = (partial, out, np.int32(chunks), np.int32(N))
    launch("gradients", "add_chunks", values.dtype, blocks_for(N, THREADS), (THREADS,), total)
