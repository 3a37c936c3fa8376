"""Matrix products by register tiles, for all heights and widths, without writing beyond the result."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends.cpu.product import DEPTH, add_product
from numlstm.backends.cpu.simd import lanes

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_heights_and_widths(dtype):
    rng, width = np.random.default_rng(0), lanes(np.dtype(dtype).itemsize)
    columns = sorted(
        {1, 2, width - 1, width, width + 1, 3 * width, 4 * width - 1, 4 * width, 4 * width + 1, 9 * width + 3}
    )
    for M in range(15):
        for N in columns:
            for K in (1, 2, 7):
                check(rng, M, K, N, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("K", [DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 5])
def test_an_inner_dimension_of_several_pieces(dtype, K):
    check(np.random.default_rng(K), 7, K, 70, dtype)


def packed_by_columns(W, width):
    """Return W (K, N) as panels of columns (panels, K, width), padded with zeros."""
    K, N = W.shape
    count = -(-N // width)
    filled = np.zeros((K, count * width), W.dtype)
    filled[:, :N] = W
    return np.ascontiguousarray(filled.reshape(K, count, width).transpose(1, 0, 2))


def check(rng, M, K, N, dtype):
    a, W, start = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (K, N), (M, N)))
    memory = np.full(M * N + 200, 777, dtype)
    out = memory[: M * N].reshape(M, N)
    out[...] = start
    add_product(a[None], packed_by_columns(W, 4 * lanes(W.itemsize)), out)
    exact = start + a.astype(np.float64) @ W
    allowed = 50 * np.finfo(dtype).eps * K**0.5
    np.testing.assert_allclose(out, exact, rtol=0, atol=allowed, err_msg=f"{M, K, N}")
    assert (memory[M * N :] == 777).all(), f"wrote beyond the end for {M, K, N}"
