"""The probabilities of a text's tokens, compared with the equations and with `evaluate`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numlstm.analysis import score
from numlstm.backends import registry
from numlstm.errors import WeightsError
from numlstm.generation import text_probabilities
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.network.evaluate import losses
from numlstm.settings.network import NetworkSettings

V, H = 7, 6


@pytest.fixture(scope="module")
def model() -> Model:
    """A network whose predictions depend strongly on the preceding tokens."""
    model = Model.create(V, (H,), seed=2, device="reference", dtype="float64")
    model.set_params({name: 3 * value for name, value in model.params.items()})
    return model


@pytest.fixture(scope="module")
def ids() -> Any:
    return np.random.default_rng(4).integers(0, V, 300)


def by_hand(p: dict[str, Any], ids: Any) -> Any:
    """Return the probabilities (N - 1, V) of the token after each id, by the textbook equations."""
    h = c = np.zeros(H)
    found = []
    for token in ids[:-1]:
        i, f, g, o = np.split(p["lstm.0.W_x"][token] + h @ p["lstm.0.W_h"] + p["lstm.0.b"], 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        powers = np.exp(h @ p["output.W"] + p["output.b"])
        found.append(powers / powers.sum())
    return np.array(found)


def test_the_probabilities_are_those_of_the_equations(model: Model, ids: Any) -> None:
    expected = by_hand(model.params, ids)
    chunks = list(score.scores(model, ids, alternatives=3))
    assert [chunk.first for chunk in chunks] == [1, 65, 129, 193, 257]
    found = np.concatenate([chunk.log_probabilities for chunk in chunks])
    np.testing.assert_allclose(found, np.log(expected[np.arange(299), ids[1:]]), rtol=1e-10)
    np.testing.assert_array_equal(found, score.log_probabilities(model, ids))
    order = np.argsort(-expected, axis=1)
    np.testing.assert_array_equal(np.concatenate([chunk.likeliest for chunk in chunks]), order[:, :3])
    logs = np.log(np.take_along_axis(expected, order[:, :3], axis=1))
    np.testing.assert_allclose(np.concatenate([chunk.likeliest_logs for chunk in chunks]), logs, rtol=1e-10)
    ranks = [row.tolist().index(token) for row, token in zip(order, ids[1:], strict=True)]
    assert np.concatenate([chunk.ranks for chunk in chunks]).tolist() == ranks


def test_the_sums_are_those_of_evaluate(model: Model, ids: Any) -> None:
    totals = score.Totals()
    ranks: list[int] = []
    for chunk in score.scores(model, ids):
        totals.add(chunk)
        ranks += chunk.ranks.tolist()
        assert chunk.likeliest.shape == (len(chunk.ranks), 0)
    assert totals.nats == pytest.approx(losses(model, ids, [300])[0], rel=1e-9)
    assert totals.tokens == 299
    assert 0 < totals.first == sum(rank == 0 for rank in ranks) < totals.among_five == sum(rank < 5 for rank in ranks)


def test_the_shortest_texts_and_more_alternatives_than_tokens(model: Model, ids: Any) -> None:
    assert list(score.scores(model, ids[:0])) == list(score.scores(model, ids[:1])) == []
    assert score.log_probabilities(model, ids[:1]).shape == (0,)
    (chunk,) = score.scores(model, ids[:2], alternatives=50)
    assert sorted(chunk.likeliest[0].tolist()) == [*range(V)]


def test_a_softmax_that_would_overflow() -> None:
    found = text_probabilities.log_softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32))
    np.testing.assert_allclose(found, [[0, -1000], [-np.log(2), -np.log(2)]])


def chunk_of(first: int, logs: list[float]) -> score.Scores:
    size = len(logs)
    none = np.zeros((size, 1))
    return score.Scores(first, np.array(logs), np.arange(size), none.astype(np.int64), none)


def test_the_most_surprising_places_are_apart() -> None:
    logs = [-0.1] * 100
    for place, log in ((5, -9.0), (8, -8.0), (20, -7.0), (40, -10.0), (47, -11.0), (90, -6.0)):
        logs[place] = log
    found = score.Surprises(4)
    for first in (0, 45):
        found.add(chunk_of(first, logs[first : first + (45 if not first else 55)]))
    assert [(place.at, place.log_probability) for place in found.places] == [(47, -11), (5, -9), (20, -7), (90, -6)]
    assert found.places[0].rank == 2
    none = score.Surprises(0)
    none.add(chunk_of(0, logs))
    assert none.places == []


def test_weights_that_are_too_large_are_told() -> None:
    config = NetworkSettings(V, (H,), embedding=4, layer_norm=True)
    flat = (1e37 * np.sign(parameters.initialise(config, 1))).astype(np.float32)
    model = Model(config, flat, registry.load("reference"))
    with np.errstate(all="ignore"), pytest.raises(WeightsError, match="so large that"):
        score.log_probabilities(model, np.arange(V))
