"""How likely a network finds each token of a text, given all before it.

The text is one stream and the state is carried from its first token to its last, as `evaluate.evaluate` reads it; it
is read in short windows, so that a text of any length takes the same memory. Knows nothing about files, pages or
terminals.

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

_WINDOW = 64  # tokens a call, as in `evaluate`
_HELD = 2**14  # tokens until the memory of mapped ids is given back
_APART = 10  # tokens from one surprising place to the next: one odd word is one place


class Scores(NamedTuple):
    """What a network said of N tokens in a row, the first of them at `first` in the text.

    `log_probabilities (N,)` are nats, 0 at most; `ranks (N,)` how many tokens were likelier, 0 for the likeliest one.
    `likeliest (N, K)` are the ids of the K likeliest tokens, the likeliest first, and `likeliest_logs (N, K)` their
    log-probabilities.
    """

    first: int
    log_probabilities: Floats
    ranks: Whole
    likeliest: Whole
    likeliest_logs: Floats


def scores(model: Model, ids: AnyIds, *, alternatives: int = 0) -> Iterator[Scores]:
    """Yield what `model` says of each token of `ids (N,)` but the first, which nobody predicts, some at a time.

    `alternatives` is how many of the likeliest tokens are told of each place: no more than the vocabulary has. Raises
    `ConfigError` for ids outside the vocabulary, and `WeightsError` if weights are so large that computing fails.
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
    """Return the log-probability in nats of each token of `ids (N,)` but the first, (N - 1,)."""
    return np.concatenate([np.empty(0), *(each.log_probabilities for each in scores(model, ids))])


def _scored(first: int, logs: Floats, ids: AnyIds, alternatives: int) -> Scores:
    if not np.isfinite(logs).all():
        raise WeightsError(
            "the model's weights are so large that it predicts no numbers; expected those of a trained one"
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
    )  # of thousands of words few are sorted
    order = np.argsort(-np.take_along_axis(logs, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


@dataclasses.dataclass
class Totals:
    """Sums over the scores that were added: how many `tokens`, their surprise in `nats`, how many of them were the
    likeliest one (`first`), and how many among the five likeliest (`among_five`).
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
    """A token at `at` in a text, and what `Scores` says of it."""

    at: int
    log_probability: float
    rank: int
    likeliest: tuple[int, ...]
    likeliest_logs: tuple[float, ...]


class Surprises:
    """The most surprising places of the scores that were added, the most surprising first in `places`.

    There are `count` of them, if the text is long enough, and 10 tokens at least from each to the next.
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
