"""Dropout, with masks generated on the fly, and embedding lookup with its gradient."""

from __future__ import annotations

import numpy as np

from .jit import ShardedKernel, kernel

_LOW = np.uint64(2**32 - 1)
_HALF = np.uint64(32)


@kernel
def philox(a, b, c, d, k, m):
    """Return the four words of Philox4x32-10 for the counter (a, b, c, d) and the key (k, m)."""
    for _ in range(10):
        left, right = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (right >> _HALF) ^ b ^ k, right & _LOW, (left >> _HALF) ^ d ^ m, left & _LOW
        k, m = (k + np.uint64(0x9E3779B9)) & _LOW, (m + np.uint64(0xBB67AE85)) & _LOW
    return a, b, c, d


@ShardedKernel
def drop(x, out, H, threshold, factor, counter, key, s, shards):
    """out = x * factor, or 0 for entries that the mask drops, for the first H columns of N rows.

    Entry (n, k) has the number n H + k (see `spec/dropout.py`). `counter` holds the last three words of the counter,
    `key` the two words of the key.
    """
    N = x.shape[0]
    for n in range(s * N // shards, (s + 1) * N // shards):
        first, row, result = n * H, x[n], out[n]
        for block in range(first // 4, (first + H + 3) // 4):
            words = philox(np.uint64(block) & _LOW, counter[0], counter[1], counter[2], key[0], key[1])
            for w in range(4):
                k = 4 * block + w - first
                if 0 <= k < H:
                    result[k] = row[k] * factor if words[w] >= threshold else row.dtype.type(0)


@ShardedKernel
def lookup_rows(ids, W, out, s, shards):
    """out (N, at least E) = the rows of W (V, E) that ids (N) select."""
    for n in range(s * out.shape[0] // shards, (s + 1) * out.shape[0] // shards):
        out[n, : W.shape[1]] = W[ids[n]]


@ShardedKernel
def add_to_rows(dx, ids, dW, s, shards):
    """Add each row of dx (N, at least E) to the row of dW (V, E) that its id selects, sharded over columns."""
    E = dW.shape[1]
    for n in range(ids.shape[0]):
        row, more = dW[ids[n]], dx[n]
        for e in range(s * E // shards, (s + 1) * E // shards):
            row[e] += more[e]
