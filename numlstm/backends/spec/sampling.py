"""How a token is drawn: the distribution, stated once, and the settings that shape it, for each stream of a batch.

Of a stream's logits x (V), of the tokens that may come, the settings leave these, in this order:

1. `allowed`: a token that is not has probability 0, whatever follows.
2. `penalty` r (Keskar et al. 2019): each token among `recent`, however often it is there, has its x divided by r where
   it is above 0 and multiplied by r where it is below, so that r above 1 makes it less likely either way.
3. `temperature` T: the weight of a token is exp(x / T). At T = 0 the token of the largest x is taken, and what follows
   has no say, since none of it ever leaves that one out.
4. `top_k` k: only the k tokens of the largest x keep their weight (0: all do).
5. `top_p` p (Holtzman et al. 2020): of those, only the fewest of the largest x whose weights reach p of the sum of all
   of theirs; at least one (1: all do).
6. `min_p` m (Nguyen et al. 2024): of those, only the tokens whose weight is at least m times the largest (0: all do).

The probability of a token is its weight divided by the sum of those that are left. Where two x are equal, the token of
the lower id counts as the larger. The token drawn by a number u in [0, 1) is the first, in the order of ids, at which
the running sum of the weights passes u times the whole. All of this is computed in float64 from the logits as they are.

Knows nothing about texts, networks or devices: `reference/drawing.py` is this page in code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError


class Draws(NamedTuple):
    """Which random numbers tokens are drawn by: `length` for each of the `streams`, from their number `first` on.

    They are those of `philox.uniforms` for the seed, which any device can make.
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
    """The settings of B streams: `temperature`, `top_p`, `min_p`, `penalty` (B) in float64, `top_k` (B) whole numbers.

    `recent (B, N)` are the tokens that the penalty looks at, oldest first, -1 where there is none; with each token that
    is drawn the oldest makes room for it. `allowed (B, V)`, if given, holds for all tokens of a call. Made by `of`.
    """

    temperature: npt.NDArray[np.float64]
    top_k: npt.NDArray[np.int64]
    top_p: npt.NDArray[np.float64]
    min_p: npt.NDArray[np.float64]
    penalty: npt.NDArray[np.float64]
    recent: npt.NDArray[np.int32]
    allowed: npt.NDArray[np.bool_] | None

    def plain(self) -> npt.NDArray[np.bool_]:
        """Return for each stream (B) whether nothing but the temperature shapes what is drawn."""
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
    """Return the settings of so many streams; a single number holds for all of them.

    Raises `ConfigError` if one is out of range or does not fit the number of streams.
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
