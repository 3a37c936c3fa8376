"""The distribution that tokens are drawn from, and the settings that shape it for each stream of a batch.

The settings apply to a stream's logits x (V) in this order:

1. `allowed`: a token that is not allowed has probability 0, whatever the other settings.
2. `penalty` r (Keskar et al. 2019): for each token in `recent`, however often it occurs there, x is divided by r if it
   is above 0 and multiplied by r if it is below. Either way r above 1 makes the token less likely.
3. `temperature` T: the weight of a token is exp(x / T). At T = 0 the token with the largest x is taken. The settings
   below then have no effect, since none of them ever drops that token.
4. `top_k` k: only the k tokens with the largest x keep their weight (0: all tokens).
5. `top_p` p (Holtzman et al. 2020): of those, only the tokens with the largest x keep their weight: the fewest that
   together reach p times the sum of the weights, at least one (1: all tokens).
6. `min_p` m (Nguyen et al. 2024): of those, only tokens whose weight is at least m times the largest (0: all tokens).

The probability of a token is its weight divided by the sum of the remaining weights. If two x are equal, the token with
the lower id counts as the larger. A number u in [0, 1) draws the first token, in the order of ids, at which the running
sum of the weights exceeds u times the total. Everything is computed in float64 from the unmodified logits.

`reference/drawing.py` implements this, one function per rule.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError


class Draws(NamedTuple):
    """The random numbers that draw tokens: `length` for each of the `streams`, starting at number `first`.

    They are those of `philox.uniforms` for the seed, which any device can compute.
    """

    seed: int
    streams: tuple[int, ...]
    first: int
    length: int

    @property
    def shape(self) -> tuple[int, int]:
        """The number of tokens and of streams."""
        return self.length, len(self.streams)


class Sampling(NamedTuple):
    """The settings of B streams, created by `of`.

    `temperature`, `top_p`, `min_p` and `penalty` (B) are float64, `top_k` (B) integers. `recent (B, N)` holds the
    tokens that the penalty applies to, oldest first, -1 for an empty place; each drawn token replaces the oldest.
    `allowed (B, V)`, if given, applies to all tokens of a call.
    """

    temperature: npt.NDArray[np.float64]
    top_k: npt.NDArray[np.int64]
    top_p: npt.NDArray[np.float64]
    min_p: npt.NDArray[np.float64]
    penalty: npt.NDArray[np.float64]
    recent: npt.NDArray[np.int32]
    allowed: npt.NDArray[np.bool_] | None

    def plain(self) -> npt.NDArray[np.bool_]:
        """Return an array (B): True for each stream that only the temperature shapes."""
        free = (self.top_k == 0) & (self.top_p == 1) & (self.min_p == 0) & (self.penalty == 1)
        return np.asarray(free & (self.allowed is None))


def of(
    streams: int,
    temperature: npt.ArrayLike = 1.0,
    *,
    top_k: npt.ArrayLike = 0,
    top_p: npt.ArrayLike = 1.0,
    min_p: npt.ArrayLike = 0.0,
    penalty: npt.ArrayLike = 1.0,
    recent: npt.ArrayLike | None = None,
    allowed: npt.ArrayLike | None = None,
) -> Sampling:
    """Return the settings of `streams` streams; a single number applies to all of them.

    Raises `ConfigError` if a value is out of range or does not match the number of streams.
    """

    def each(values: npt.ArrayLike, dtype: Any) -> npt.NDArray[Any]:
        array = np.asarray(values, dtype)
        if array.ndim > 1 or (array.ndim and len(array) != streams):
            raise ConfigError(f"a setting has the shape {array.shape}; expected one number for each of {streams} texts")
        return np.array(np.broadcast_to(array, streams))

    def ranged(name: str, values: npt.ArrayLike, ok: Any, expected: str, dtype: Any = np.float64) -> npt.NDArray[Any]:
        array = each(values, dtype)
        for value in array[~(np.isfinite(array) & ok(array))][:1]:
            raise ConfigError(f"{name} is {value.item()!r}; expected {expected}")
        return array

    found = np.empty((streams, 0), np.int32) if recent is None else np.array(recent, np.int32)
    if found.ndim != 2 or len(found) != streams:
        raise ConfigError(f"recent has the shape {found.shape}; expected ({streams}, N)")
    mask = None if allowed is None else np.array(allowed, np.bool_)
    if mask is not None and (mask.ndim != 2 or len(mask) != streams or not mask.any(axis=1).all()):
        raise ConfigError(f"allowed has the shape {mask.shape}; expected ({streams}, V), each row allowing something")
    return Sampling(
        ranged("temperature", temperature, lambda a: a >= 0, "a number of at least 0"),
        ranged("top_k", top_k, lambda a: a >= 0, "a whole number of at least 0", np.int64),
        ranged("top_p", top_p, lambda a: (a > 0) & (a <= 1), "a number above 0 and at most 1"),
        ranged("min_p", min_p, lambda a: (a >= 0) & (a <= 1), "a number from 0 to 1"),
        ranged("penalty", penalty, lambda a: a > 0, "a number above 0"),
        found,
        mask,
    )
