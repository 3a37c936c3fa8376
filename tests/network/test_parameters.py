"""Parameters: names, shapes, views into one flat array, and initialisation."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.errors import ConfigError
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings

CONFIG = NetworkSettings(7, (5, 3))
SHAPES = {
    "lstm.0.W_x": (7, 20),
    "lstm.0.W_h": (5, 20),
    "lstm.0.b": (20,),
    "lstm.1.W_x": (5, 12),
    "lstm.1.W_h": (3, 12),
    "lstm.1.b": (12,),
    "output.W": (3, 7),
    "output.b": (7,),
}


def test_shapes_and_their_order():
    assert list(parameters.shapes(CONFIG).items()) == list(SHAPES.items())
    assert parameters.count(CONFIG) == 140 + 100 + 20 + 60 + 36 + 12 + 21 + 7


def test_views_lie_one_after_the_other_in_the_flat_array():
    flat = np.arange(float(parameters.count(CONFIG)))
    views = parameters.views(flat, CONFIG)
    assert {name: view.shape for name, view in views.items()} == SHAPES
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in views.values()]), flat)


def test_writing_to_a_view_writes_to_the_flat_array():
    flat = np.zeros(parameters.count(CONFIG))
    for number, view in enumerate(parameters.views(flat, CONFIG).values(), start=1):
        assert np.shares_memory(view, flat)
        view[...] = number
    assert (flat != 0).all()
    assert flat[0] == 1
    assert flat[-1] == 8


def test_flatten_is_the_way_back():
    flat = parameters.initialise(CONFIG, 0)
    named = parameters.views(flat, CONFIG)
    again = parameters.flatten(dict(reversed(named.items())), CONFIG)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, flat)
    assert not np.shares_memory(again, flat)


def test_flatten_names_what_does_not_fit():
    named = dict(parameters.views(parameters.initialise(CONFIG, 0), CONFIG))
    with pytest.raises(ConfigError, match=r"missing or unknown parameters: output\.b; expected lstm\.0\.W_x"):
        parameters.flatten({name: value for name, value in named.items() if name != "output.b"}, CONFIG)
    with pytest.raises(ConfigError, match="missing or unknown parameters: colour;"):
        parameters.flatten({**named, "colour": np.zeros(3)}, CONFIG)
    for wrong in (np.zeros((20, 7)), np.zeros(140), np.zeros((1, 20)), 0.0):
        with pytest.raises(ConfigError, match=r"parameter lstm\.0\.W_x has shape .*; expected \(7, 20\)"):
            parameters.flatten({**named, "lstm.0.W_x": wrong}, CONFIG)


def test_the_forget_gate_starts_open_and_the_rest_at_random():
    config = NetworkSettings(50, (64, 16))
    bounds = dict.fromkeys(("lstm.0.W_h", "lstm.0.b", "lstm.1.W_x"), 1 / 8)
    bounds |= dict.fromkeys(("lstm.1.W_h", "lstm.1.b", "output.W", "output.b"), 1 / 4)
    bounds["lstm.0.W_x"] = 1  # a token selects one row, so nothing is summed
    for name, values in parameters.views(parameters.initialise(config, 3), config).items():
        bound = bounds[name]
        if name.endswith(".b") and name.startswith("lstm"):
            H = len(values) // 4
            np.testing.assert_array_equal(values[H : 2 * H], 1)
            values = np.delete(values, slice(H, 2 * H))
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.85 * bound
        assert abs(values.mean()) < 0.3 * bound
        assert len(np.unique(values)) > 0.95 * values.size


def test_the_seed_decides():
    first, again, other = (parameters.initialise(CONFIG, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_the_dtype_changes_the_rounding_alone():
    double = NetworkSettings(7, (5, 3), "float64")
    exact = parameters.initialise(double, 5)
    assert exact.dtype == np.float64
    np.testing.assert_array_equal(exact.astype(np.float32), parameters.initialise(CONFIG, 5))


def test_no_two_parameters_start_alike():
    config = NetworkSettings(4, (4, 4))
    views = parameters.views(parameters.initialise(config, 0), config)
    assert len({values.ravel()[0] for values in views.values()}) == len(views)
