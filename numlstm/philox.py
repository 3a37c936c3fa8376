"""Philox4x32-10 (Salmon et al. 2011): random words as a function of a key and a counter, the same on every device.

Knows nothing about what the words are for: see `dropout.py` and `uniforms`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

WORD = 2**32

UNIFORMS = 0x756E6966  # the counter's last word where numbers to draw tokens by are made: masks have none so large

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

Words = npt.NDArray[np.uint64]


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> Words:
    """Return the four 32-bit words (..., 4) for each counter, whose four words are numbers or arrays (...)."""
    low, half = np.uint64(WORD - 1), np.uint64(32)
    a, b, c, d = np.broadcast_arrays(*(np.asarray(word, np.uint64) for word in counter))
    k, m = [np.uint64(word) for word in key], [np.uint64(word) for word in _MULTIPLIERS]
    for _ in range(_ROUNDS):
        left, right = a * m[0], c * m[1]
        a, b, c, d = (right >> half) ^ b ^ k[0], right & low, (left >> half) ^ d ^ k[1], left & low
        k = [np.uint64((int(word) + step) % WORD) for word, step in zip(k, _KEY_STEPS, strict=True)]
    return np.stack([a, b, c, d], axis=-1)


def uniforms(seed: int, streams: npt.ArrayLike, first: int, count: int) -> npt.NDArray[np.float64]:
    """Return `count` numbers in [0, 1) for each of the streams (B) from their number `first` on, (count, B).

    Number n of stream s is made of the first two words of the key (seed's low and high 32 bits) and the counter (n's
    low and high 32 bits, s, `UNIFORMS`): 53 bits of them.
    """
    numbers = np.arange(first, first + count, dtype=np.uint64)[:, None]
    counter = (numbers % np.uint64(WORD), numbers // np.uint64(WORD), np.asarray(streams, np.uint64), UNIFORMS)
    words = philox(counter, (seed % WORD, seed // WORD))
    bits = (words[..., 0] << np.uint64(21)) ^ (words[..., 1] >> np.uint64(11))
    return np.asarray(bits * 2.0**-53)
