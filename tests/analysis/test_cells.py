"""Recorded cell activity matches the equations, and cells planted to follow a feature are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numlstm.analysis import cells
from numlstm.analysis.text_features import features
from numlstm.backends import registry
from numlstm.errors import ConfigError, WeightsError
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.base import Vocab
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab

SIZES = (6, 5)


@pytest.fixture
def model() -> Model:
    return Model.create(7, SIZES, seed=3, device="reference", dtype="float64")


@pytest.fixture
def ids() -> Any:
    return np.random.default_rng(1).integers(0, 7, 300)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def by_hand(p: dict[str, Any], ids: Any) -> dict[str, list[Any]]:
    """Return tanh(c) and the gates of each layer at each step, by the textbook equations."""
    state = [(np.zeros(H), np.zeros(H)) for H in SIZES]
    found: dict[str, list[Any]] = {what: [[], []] for what in "cifgo"}
    for token in ids:
        x = np.eye(7)[token]
        for n, (h, c) in enumerate(state):
            i, f, g, o = np.split(x @ p[f"lstm.{n}.W_x"] + h @ p[f"lstm.{n}.W_h"] + p[f"lstm.{n}.b"], 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            x = sigmoid(o) * np.tanh(c)
            state[n] = (x, c)
            for what, value in zip("cifgo", (np.tanh(c), sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)), strict=True):
                found[what][n].append(value)
    return found


def test_what_is_recorded_is_what_the_equations_say(model: Model, ids: Any) -> None:
    expected = by_hand(model.params, ids)
    for what in "cifgo":
        found = cells.record(model, ids, what=what)
        for layer, values in zip(found, expected[what], strict=True):
            np.testing.assert_allclose(layer, values, rtol=1e-10)
    assert [layer.shape for layer in cells.record(model, ids[:0])] == [(0, 6), (0, 5)]
    with pytest.raises(ConfigError, match="'x'; expected c, i, f, g, o"):
        cells.record(model, ids, what="x")


@pytest.mark.parametrize(
    "options",
    [{"layer_norm": True}, {"projection": 3}, {"gate_activation": "hard-sigmoid"}, {"embedding": 4}],
    ids=str,
)
def test_networks_of_every_kind(options: dict[str, Any], ids: Any) -> None:
    config = NetworkSettings(7, SIZES, **options)
    model = Model(config, 3 * parameters.initialise(config, 1), registry.load("reference"))
    found = cells.record(model, ids)
    assert [layer.shape for layer in found] == [(300, 6), (300, 5)]
    for layer, other in zip(found, cells.record(model, ids[:290]), strict=True):
        np.testing.assert_allclose(layer[:290], other, rtol=1e-5)
        assert layer.std(axis=0).min() > 0
        assert np.abs(layer).max() <= 1


def test_with_layer_norm_it_is_what_the_output_gate_shows(ids: Any) -> None:
    """h = o tanh(...), whatever is inside the tanh."""
    config = NetworkSettings(7, (6,), dtype="float64", layer_norm=True)
    model = Model(config, 3 * parameters.initialise(config, 1), registry.load("reference"))
    (shown,), (o,) = cells.record(model, ids), cells.record(model, ids, what="o")
    views = model.params
    logits, _ = model.logits(ids[:, None])
    np.testing.assert_allclose(logits[:, 0], (o * shown) @ views["output.W"] + views["output.b"], rtol=1e-8)


TEXT = 'He said "no, not (ever) me."\nThen\n  "yes 12"\n\nand left.\n' * 12


@pytest.mark.parametrize("vocab", [CharVocab.from_text(TEXT), ByteVocab()], ids=lambda vocab: vocab.level)
def test_the_features_of_tokens(vocab: Vocab) -> None:
    expected = features(TEXT)
    found = cells.token_features(vocab, vocab.encode(TEXT))
    assert set(found) == set(expected) > {"inside double quotes", "digit", "indentation"}
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
    assert cells.token_features(vocab, vocab.encode("")) == {}


def test_correlations_are_those_of_numpy(ids: Any) -> None:
    rng = np.random.default_rng(0)
    activity, of = rng.normal(size=(50, 4)), {"a": rng.normal(size=50), "still": np.ones(50), "b": rng.random(50)}
    activity[:, 2] = 0.5
    found = cells.correlations(activity, of)
    for cell in (0, 1, 3):
        for row, name in ((0, "a"), (2, "b")):
            assert found[row, cell] == pytest.approx(np.corrcoef(activity[:, cell], of[name])[0, 1])
    assert not found[1].any()
    assert not found[:, 2].any()


def planted() -> tuple[list[Any], dict[str, Any]]:
    """Return two layers of noise in which three cells follow a feature, and the features."""
    rng, of = np.random.default_rng(0), features(TEXT)
    layers = [rng.normal(size=(len(TEXT), 8)) for _ in range(2)]
    layers[0][:, 5] = -3 * of["inside double quotes"] + rng.normal(size=len(TEXT))
    layers[1][:, 2] = of["position in the line"] / 10 + 0.1 * rng.normal(size=len(TEXT))
    layers[1][:, 6] = of["position in the line"] / 10 + 0.3 * rng.normal(size=len(TEXT))
    return layers, of


def test_the_cells_that_follow_a_feature_are_found() -> None:
    layers, of = planted()
    first, second, *others = cells.most_responsive(layers, of, 5)
    assert (first.layer, first.number, first.responses[0].feature) == (1, 2, "position in the line")
    assert first.responses[0].correlation > 0.9
    assert (second.layer, second.number, second.responses[0].feature) == (0, 5, "inside double quotes")
    assert -0.9 < second.responses[0].correlation < -0.7
    assert len(others) == 3
    names = [cell.responses[0].feature for cell in (first, second, *others)]
    assert len(set(names)) == 5, "two cells follow the same feature"
    assert all(abs(cell.responses[0].correlation) < 0.2 for cell in others)
    assert [(cell.layer, cell.number) for cell in cells.most_responsive(layers, of, 1, layer=0)] == [(0, 5)]
    assert cells.most_responsive(layers, {}, 3) == []
    assert cells.most_responsive([np.zeros((len(TEXT), 3))], of, 3) == []


def test_a_cell_that_is_asked_for_and_one_that_is_not_there() -> None:
    layers, of = planted()
    cell = cells.describe(layers, of, 1, 6)
    assert cell.responses[0].feature == "position in the line"
    assert len(cell.responses) == len(of)
    for layer, number, said in ((2, 0, "the layer is 2; expected 0 to 1"), (1, 8, "the cell is 8; expected 0 to 7 in")):
        with pytest.raises(ConfigError, match=said):
            cells.describe(layers, of, layer, number)


def test_the_stretch_that_is_drawn_is_where_the_features_change() -> None:
    plain = "and so it went on\n" * 30
    text = plain + 'he "no" and "no" and\n"no" "yes" "no"\nor "not" "yes"\n' * 3 + plain
    of = features(text)
    quotes = cells.Cell(0, 0, (cells.Response("inside double quotes", 0.9),))
    start = cells.most_varied_stretch(of, [quotes], 80)
    assert len(plain) - 60 < start < len(text) - len(plain), "the stretch does not reach the quotes"
    assert text[start - 1] == "\n" != text[start]
    assert cells.most_varied_stretch(of, [quotes], 10**6) == 0
    assert cells.most_varied_stretch(of, [], 80) == 0
    beginning = cells.Cell(0, 0, (cells.Response("white space", 0.9),))
    assert cells.most_varied_stretch({name: values[:200] for name, values in of.items()}, [quotes, beginning], 40) >= 0


def test_weights_that_are_too_large_are_told() -> None:
    config = NetworkSettings(5, (6,), embedding=4, layer_norm=True)
    flat = (1e37 * np.sign(parameters.initialise(config, 1))).astype(np.float32)
    model = Model(config, flat, registry.load("reference"))
    with np.errstate(all="ignore"), pytest.raises(WeightsError, match="so large that"):
        cells.record(model, np.arange(5))
