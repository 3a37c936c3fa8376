"""What is told of the gates is what they did."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm import gates
from numlstm.backends import reference
from numlstm.model import Model


@pytest.fixture
def model() -> Model:
    return Model.create(7, (6, 5), seed=3, device="reference", dtype="float64")


def test_the_activations_are_those_of_the_equations(model: Model) -> None:
    ids = np.random.default_rng(1).integers(0, 7, 41)
    found = gates.activations(model, ids)
    p = model.params
    length = (len(ids) - 1) // 4
    starts = np.linspace(0, len(ids) - 1 - length, 4).astype(int)
    expected: list[dict[str, list[float]]] = [{g: [] for g in "ifgo"} for _ in range(2)]
    for start in starts:
        state = [(np.zeros((1, H)), np.zeros((1, H))) for H in (6, 5)]
        for t in range(length):
            x = ids[start + t : start + t + 1]
            for n in range(2):
                weights = tuple(p[f"lstm.{n}.{name}"] for name in ("W_x", "W_h", "b"))
                h, c, each = reference.step(x, weights, *state[n])
                x, state[n] = h, (h, c)
                if t >= length - 1:  # the beginning is not counted; so short a text has one step that is
                    for name, values in zip("ifgo", each, strict=True):
                        expected[n][name] += values.ravel().tolist()
    for n in range(2):
        for name in "ifgo":
            np.testing.assert_allclose(sorted(found[n][name]), sorted(expected[n][name]), rtol=1e-12)


def test_a_gate_that_is_stuck_is_told(model: Model) -> None:
    params = model.params
    params["lstm.1.b"][:5] = 50.0  # the input gate, open
    params["lstm.1.b"][5:10] = -50.0  # the forget gate, closed
    model.set_params(params)
    before = model.params
    _, layer = gates.measured(model, np.arange(600) % 7)
    assert layer["i"]["high"] == 1
    assert layer["f"]["low"] == 1
    assert layer["i"]["mean"] == pytest.approx(1)
    assert layer["i"]["counts"][-1] == sum(layer["i"]["counts"]) == 4 * (64 - 16) * 5
    assert layer["g"]["low"] < 0.5
    for name, value in model.params.items():
        np.testing.assert_array_equal(value, before[name])


def test_the_shortest_texts(model: Model) -> None:
    assert gates.measured(model, np.zeros(1, int)) == []
    assert gates.measured(model, np.zeros(0, int)) == []
    for length in (2, 3, 5, 9, 300):
        first, _ = gates.measured(model, np.zeros(length, int))
        assert sum(first["i"]["counts"]) > 0
