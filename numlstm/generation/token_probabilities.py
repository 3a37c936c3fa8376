"""Token log-probabilities from logits: the network's own distribution, without temperature or other settings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Chance(NamedTuple):
    """A token's log-probability in nats at its position, and the likeliest tokens there with their log-probabilities.

    `likeliest` is sorted by decreasing probability; ties by id.
    """

    id: int
    nats: float
    likeliest: tuple[tuple[int, float], ...]


def log_softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the log-probabilities (N, V) of logits (N, V), in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def of(logits: npt.NDArray[Any], ids: npt.ArrayLike, most: int) -> list[Chance]:
    """Return the log-probability of each of ids (N) under logits (N, V), with the `most` likeliest tokens there."""
    nats, found = log_softmax(logits), []
    most = min(most, nats.shape[1])
    for row, token in zip(nats, np.asarray(ids), strict=True):
        best = np.flatnonzero(row >= np.partition(row, -most)[-most]) if most else np.empty(0, np.intp)
        best = best[np.argsort(-row[best], kind="stable")][:most]
        found.append(Chance(int(token), float(row[token]), tuple((int(n), float(row[n])) for n in best)))
    return found
