"""Gate statistics match the gate activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.model import Model
from numlstm.monitoring import gates
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings

SIZES = (6, 5)


@pytest.fixture
def model() -> Model:
    return Model.create(7, SIZES, seed=3, device="reference", dtype="float64")


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def last_gates(p: dict[str, Any], ids: Any) -> list[list[Any]]:
    """Return the gates of each layer after the last id, computed by the textbook equations."""
    state = [(np.zeros(H), np.zeros(H)) for H in SIZES]
    found: list[list[Any]] = []
    for token in ids:
        x, found = np.eye(7)[token], []
        for n, (h, c) in enumerate(state):
            i, f, g, o = np.split(x @ p[f"lstm.{n}.W_x"] + h @ p[f"lstm.{n}.W_h"] + p[f"lstm.{n}.b"], 4)
            found.append([sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)])
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            x = sigmoid(o) * np.tanh(c)
            state[n] = (x, c)
    return found


def test_the_activations_are_those_of_the_equations(model: Model) -> None:
    ids = np.random.default_rng(1).integers(0, 7, 41)
    found = gates.activations(model, ids)
    starts = np.linspace(0, 30, 4).astype(int)  # four places of 10 tokens each; only the last token counts
    expected = [last_gates(model.params, ids[start : start + 10]) for start in starts]
    for n in range(len(SIZES)):
        for place, name in enumerate("ifgo"):
            values = [value for each in expected for value in each[n][place]]
            np.testing.assert_allclose(found[n][name], values, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{"layer_norm": True}, {"projection": 3}, {"gate_activation": "hard-sigmoid"}, {"embedding": 4}],
    ids=str,
)
def test_networks_of_every_kind(options: dict[str, Any]) -> None:
    config = NetworkSettings(7, SIZES, **options)
    model = Model(config, 9 * parameters.initialise(config, 1), registry.load("reference"))
    layers = gates.gate_statistics(model, np.arange(900) % 7)
    assert [sum(layer["o"]["counts"]) for layer in layers] == [4 * (64 - 16) * H for H in SIZES]
    stuck = sum(layer[gate]["low"] + layer[gate]["high"] for layer in layers for gate in "ifo")
    assert stuck > 1, "such large weights saturate the gates"


def test_a_gate_that_is_stuck_is_told(model: Model) -> None:
    parameters = model.params
    parameters["lstm.1.b"][:5] = 50.0  # the input gate, open
    parameters["lstm.1.b"][5:10] = -50.0  # the forget gate, closed
    model.set_params(parameters)
    before = model.params
    _, layer = gates.gate_statistics(model, np.arange(600) % 7)
    assert layer["i"]["high"] == 1
    assert layer["f"]["low"] == 1
    assert layer["i"]["mean"] == pytest.approx(1)
    assert layer["i"]["counts"][-1] == sum(layer["i"]["counts"]) == 4 * (64 - 16) * 5
    assert layer["g"]["low"] < 0.5
    for name, value in model.params.items():
        np.testing.assert_array_equal(value, before[name])


def test_the_shortest_texts(model: Model) -> None:
    assert gates.gate_statistics(model, np.zeros(1, int)) == []
    assert gates.gate_statistics(model, np.zeros(0, int)) == []
    for length in (2, 3, 5, 9, 300):
        first, _ = gates.gate_statistics(model, np.zeros(length, int))
        assert sum(first["i"]["counts"]) > 0
