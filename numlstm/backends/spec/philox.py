"""Philox4x32-10 (Salmon et al. 2011): random words as a function of a key and a counter, the same on every device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

WORD = 2**32

UNIFORMS = 0x756E6966  # the counter's last word for numbers that draw tokens; larger than that of any mask

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

Words = npt.NDArray[np.uint64]


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> Words:
    """Return the four 32-bit words (..., 4) for each counter and key; their words are numbers or arrays (...)."""
    low, half = np.uint64(WORD - 1), np.uint64(32)
    a, b, c, d = np.broadcast_arrays(*(np.asarray(word, np.uint64) for word in counter))
    k, m = [np.asarray(word, np.uint64) for word in key], [np.uint64(word) for word in _MULTIPLIERS]
    for _ in range(_ROUNDS):
        left, right = a * m[0], c * m[1]
        a, b, c, d = (right >> half) ^ b ^ k[0], right & low, (left >> half) ^ d ^ k[1], left & low
        k = [(word + np.uint64(step)) & low for word, step in zip(k, _KEY_STEPS, strict=True)]
    return np.stack([a, b, c, d], axis=-1)


def uniforms(seed: npt.ArrayLike, streams: npt.ArrayLike, first: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    """Return `count` numbers in [0, 1) for each of the streams (B), starting at number `first`: (count, B).

    `seed` and `first` are one number for all streams, or one for each (B). Number n of stream s consists of 53 bits of
    the first two Philox words for the key (seed's low and high 32 bits) and the counter (n's low and high 32 bits, s,
    `UNIFORMS`).
    """
    numbers = np.asarray(first, np.uint64) + np.arange(count, dtype=np.uint64)[:, None]
    seeds, word = np.asarray(seed, np.uint64), np.uint64(WORD)
    counter = (numbers % word, numbers // word, np.asarray(streams, np.uint64), UNIFORMS)
    words = philox(counter, (seeds % word, seeds // word))
    bits = (words[..., 0] << np.uint64(21)) ^ (words[..., 1] >> np.uint64(11))
    return np.asarray(bits * 2.0**-53)
