"""Score each token of a text: its log-probability under a network, given all tokens before it.

The text is one stream with carried state, as in `evaluate.evaluate`. It is read in short windows, so memory use does
not depend on its length.

    model = numlstm.load("weights.npz")
    ids = model.vocab.encode("To be, or not to be")
    score.log_probabilities(model, ids)          # nats, of every token but the first
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import WeightsError
from ..generation.token_probabilities import log_softmax
from ..model import Model
from ..text.dataset.memory_map import release
from ..text.dataset.streams import AnyIds

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.integer[Any]]

_WINDOW = 64  # tokens per call, as in `evaluate`
_HELD = 2**14  # tokens between releases of the memory of mapped ids
_APART = 10  # minimum tokens between surprising places, so that one odd word is one place


class Scores(NamedTuple):
    """The scores of N consecutive tokens, the first at index `first` of the text.

    `log_probabilities (N,)` are in nats, at most 0. `ranks (N,)` count the tokens that were likelier: 0 means the
    likeliest. `likeliest (N, K)` are the ids of the K likeliest tokens, the likeliest first, and
    `likeliest_logs (N, K)` are their log-probabilities.
    """

    first: int
    log_probabilities: Floats
    ranks: Whole
    likeliest: Whole
    likeliest_logs: Floats


def scores(model: Model, ids: AnyIds, *, alternatives: int = 0) -> Iterator[Scores]:
    """Yield the scores of all tokens of `ids (N,)` except the first, in chunks.

    `alternatives` is the number of likeliest tokens to include for each place, at most the vocabulary size. Raises
    `ConfigError` if ids are outside the vocabulary, and `WeightsError` if the weights are so large that predictions are
    not finite.
    """
    state = model.zero_state(1)
    alternatives = min(alternatives, model.config.vocab_size)
    for first in range(0, len(ids) - 1, _WINDOW):
        last = min(first + _WINDOW, len(ids) - 1)
        logits, state = model.logits(np.asarray(ids[first:last])[:, None], state)
        yield _scored(first + 1, log_softmax(logits[:, 0]), ids[first + 1 : last + 1], alternatives)
        if first // _HELD != last // _HELD:
            release(ids)


def log_probabilities(model: Model, ids: AnyIds) -> Floats:
    """Return the log-probabilities (N - 1,) in nats of all tokens of `ids (N,)` except the first."""
    return np.concatenate([np.empty(0), *(each.log_probabilities for each in scores(model, ids))])


def _scored(first: int, logs: Floats, ids: AnyIds, alternatives: int) -> Scores:
    if not np.isfinite(logs).all():
        raise WeightsError(
            "the model's weights are so large that its predictions are not finite; expected a trained model"
        )
    found = logs[np.arange(len(ids)), ids]
    ranks = (logs > found[:, None]).sum(axis=1)
    likeliest = _likeliest(logs, alternatives)
    return Scores(first, found, ranks, likeliest, np.take_along_axis(logs, likeliest, axis=1))


def _likeliest(logs: Floats, count: int) -> npt.NDArray[np.int64]:
    """Return the ids (N, count) of the largest entries of each row, the largest first."""
    if not count:
        return np.empty((len(logs), 0), np.int64)
    found = np.sort(
        np.argpartition(-logs, count - 1, axis=1)[:, :count], axis=1
    )  # partition first: sorting thousands of words would be slow
    order = np.argsort(-np.take_along_axis(logs, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


@dataclasses.dataclass
class Totals:
    """Sums over the added scores: the number of `tokens`, their surprise in `nats`, and how many tokens were the
    likeliest (`first`) or among the five likeliest (`among_five`).
    """

    tokens: int = 0
    nats: float = 0.0
    first: int = 0
    among_five: int = 0

    def add(self, found: Scores) -> None:
        self.tokens += len(found.ranks)
        self.nats -= math.fsum(found.log_probabilities)
        self.first += int((found.ranks == 0).sum())
        self.among_five += int((found.ranks < 5).sum())


class Place(NamedTuple):
    """The token at index `at` of a text, with its scores as in `Scores`."""

    at: int
    log_probability: float
    rank: int
    likeliest: tuple[int, ...]
    likeliest_logs: tuple[float, ...]


class Surprises:
    """The `count` most surprising places of the added scores, in `places`, the most surprising first.

    Places are at least 10 tokens apart; a short text may have fewer than `count`.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.places: list[Place] = []

    def add(self, found: Scores) -> None:
        if not self.count:
            return
        full = len(self.places) == self.count
        worst = self.places[-1].log_probability if full else math.inf
        for n in np.argsort(found.log_probabilities, kind="stable").tolist():
            place = _place(found, n)
            if place.log_probability >= worst:
                break
            self._put(place)
            if len(self.places) == self.count:
                worst = self.places[-1].log_probability

    def _put(self, new: Place) -> None:
        near = [place for place in self.places if abs(place.at - new.at) < _APART]
        if any(place.log_probability <= new.log_probability for place in near):
            return
        kept = [place for place in self.places if place not in near]
        self.places = sorted([*kept, new], key=lambda place: (place.log_probability, place.at))[: self.count]


def _place(found: Scores, n: int) -> Place:
    return Place(
        found.first + n,
        float(found.log_probabilities[n]),
        int(found.ranks[n]),
        tuple(found.likeliest[n].tolist()),
        tuple(found.likeliest_logs[n].tolist()),
    )
