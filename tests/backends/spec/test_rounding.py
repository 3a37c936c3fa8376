"""Rounded weights: bf16 to nearest even, int8 with a scale for each column, and nothing changes the second time."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends.spec.rounding import ROUNDINGS, quantised, rounded, to_bf16


def weights(seed=0):
    """Return weights of all magnitudes, with a column of zeros and one of a single number."""
    rng = np.random.default_rng(seed)
    W = (rng.standard_normal((37, 20)) * np.exp2(rng.integers(-30, 30, 20))).astype(np.float32)
    W[:, 3], W[:, 4] = 0, 0
    W[5, 4] = -0.3
    return W


def test_bf16_is_the_nearest_number_of_eight_bits_and_ties_go_to_even():
    W = weights()
    mantissa, exponent = np.frexp(W.astype(np.float64))
    expected = np.ldexp(np.rint(mantissa * 256) / 256, exponent)  # rint: ties to even
    np.testing.assert_array_equal(to_bf16(W), expected)
    ties = np.array([[1 + 1 / 256, 1 + 3 / 256, -1 - 1 / 256]], np.float32)
    np.testing.assert_array_equal(to_bf16(ties), [[1.0, 1 + 4 / 256, -1.0]])


def test_int8_is_within_half_a_step_of_the_weight():
    W = weights()
    q, scale = quantised(W)
    assert q.dtype == np.int8
    assert scale.shape == (1, 20)
    assert (np.abs(q * scale.astype(np.float64) - W) <= scale / 2 * (1 + 1e-6)).all()
    used = np.abs(W).max(axis=0) > 0
    np.testing.assert_array_equal(np.abs(q).max(axis=0)[used], 127)
    np.testing.assert_array_equal(rounded(W, "int8"), q * scale.astype(np.float64))  # float32 holds them exactly


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_twice_changes_nothing(rounding, dtype):
    once = rounded(weights().astype(dtype), rounding)
    assert once.dtype == dtype
    np.testing.assert_array_equal(rounded(once, rounding), once)
    assert rounded(once, "") is once


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_weights_that_diverged_or_are_not_there_are_no_error(rounding):
    W = weights()
    W[0, 0], W[0, 1] = np.nan, np.inf
    found = rounded(W, rounding)
    np.testing.assert_array_equal(found[:, 2:], rounded(weights(), rounding)[:, 2:])
    assert rounded(W[:0], rounding).shape == (0, 20)
