"""The random numbers for sampling tokens depend only on seed, stream and position."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.backends.spec.philox import UNIFORMS, WORD, philox, uniforms


def test_each_number_is_made_of_53_bits_of_its_own_two_words():
    seed, first = 2**40 + 7, 2**32 - 2
    found = uniforms(seed, [5, 0], first, 4)
    for n, row in enumerate(found):
        for stream, value in zip((5, 0), row, strict=True):
            counter = ((first + n) % WORD, (first + n) // WORD, stream, UNIFORMS)
            a, b, _, _ = (int(word) for word in philox(counter, (seed % WORD, seed // WORD)))
            assert value == ((a << 32 | b) >> 11) / 2**53


def test_no_place_seed_or_stream_repeats_another():
    found = np.concatenate([uniforms(seed, range(8), 0, 500).ravel() for seed in (0, 1, 2**32)])
    assert len(np.unique(found)) == len(found)


def test_they_are_uniform():
    found = np.sort(uniforms(3, range(100), 0, 1000).ravel())
    assert found[0] >= 0
    assert found[-1] < 1
    N = len(found)
    largest = np.abs(
        found - (np.arange(N) + 0.5) / N
    ).max()  # the Kolmogorov-Smirnov statistic: above 2.6 / sqrt(N) once in 10**6
    assert largest < 2.6 / np.sqrt(N)


def test_a_piece_is_a_part_of_the_whole():
    whole = uniforms(9, [0, 3, 8], 0, 50)
    np.testing.assert_array_equal(uniforms(9, [3], 17, 20)[:, 0], whole[17:37, 1])


@pytest.mark.parametrize("shape", [(0, 3), (4, 1), (1, 5)])
def test_every_backend_makes_the_same(shape):
    count, B = shape
    expected = uniforms(2**33, range(1, B + 1), 2**31, count)
    for name in registry.names():
        backend = registry._import(name)
        if not backend.available():
            np.testing.assert_array_equal(
                backend.to_numpy(backend.uniforms(2**33, range(1, B + 1), 2**31, count)), expected, err_msg=name
            )


def test_streams_of_different_seeds_and_places_are_made_together():
    seeds, streams, firsts = [0, 2**63 - 1, 7], [3, 0, 2**16], [0, 2**32 - 3, 11]
    found = uniforms(seeds, streams, firsts, 6)
    for n, (seed, stream, first) in enumerate(zip(seeds, streams, firsts, strict=True)):
        np.testing.assert_array_equal(found[:, n], uniforms(seed, [stream], first, 6)[:, 0])
