"""Column sums over all rows of a sequence, always accumulated in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .lazy_cupy import cp
from .modules import blocks_for, launch

Array = Any
BLOCK = (32, 16)  # columns, and lanes that share the rows
CHUNK_ROWS, MOST_CHUNKS = 256, 64  # few columns would leave most multiprocessors idle: blocks also split the rows
THREADS = 256


def add_column_sums(values: Array, out: Array, times: Array = None) -> None:
    """Add to out (N) the column sums of values (..., N), or of their products with `times` (..., N)."""
    N, dtype = out.size, values.dtype
    rows = values.size // N
    chunk_rows = max(CHUNK_ROWS, -(-rows // MOST_CHUNKS))
    chunks = -(-rows // chunk_rows)
    partial = cp.empty((chunks, N), dtype)
    numbers = (np.int64(rows), np.int64(chunk_rows), np.int32(N), np.int32(times is not None))
    arguments = (values, values if times is None else times, partial, *numbers)
    shared = BLOCK[0] * BLOCK[1] * dtype.itemsize
    launch("columns", "sum_chunks", dtype, (-(-N // BLOCK[0]), chunks), BLOCK, arguments, shared=shared)
    sums = (partial, out, np.int32(chunks), np.int32(N))
    launch("columns", "add_chunks", dtype, blocks_for(N, THREADS), (THREADS,), sums)
