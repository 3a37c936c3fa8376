"""How likely tokens are to a network, by its logits: its own distribution, whatever they were drawn by.

Knows nothing about networks or texts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Chance(NamedTuple):
    """A token's log-probability in nats where it stands, and the likeliest tokens there with theirs, likeliest first.

    Of tokens equally likely the one of the lower id comes first.
    """

    id: int
    nats: float
    likeliest: tuple[tuple[int, float], ...]


def log_softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the log-probabilities (N, V) of logits (N, V), in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def of(logits: npt.NDArray[Any], ids: npt.ArrayLike, most: int) -> list[Chance]:
    """Return how likely each of ids (N) is where the logits (N, V) stand, beside the `most` likeliest there."""
    nats, found = log_softmax(logits), []
    most = min(most, nats.shape[1])
    for row, token in zip(nats, np.asarray(ids), strict=True):
        best = np.flatnonzero(row >= np.partition(row, -most)[-most]) if most else np.empty(0, np.intp)
        best = best[np.argsort(-row[best], kind="stable")][:most]
        found.append(Chance(int(token), float(row[token]), tuple((int(n), float(row[n])) for n in best)))
    return found
