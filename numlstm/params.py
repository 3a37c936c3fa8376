"""The parameters of a network: one flat array, named views into it, and how they start.

Names and shapes (see the NOTATION block of `model.py`): for each layer l `lstm.l.W_x (D, 4H)`,
`lstm.l.W_h (H, 4H)`, `lstm.l.b (4H)`, then `output.W (H, V)` and `output.b (V)`. One flat array makes
the optimizer, clipping, saving and copying one operation each. Knows nothing about devices or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .config import ModelConfig
from .errors import ConfigError

FloatArray = npt.NDArray[np.floating[Any]]


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter by name, in the order in which the flat array holds them."""
    found: dict[str, tuple[int, ...]] = {}
    D = config.vocab_size
    for layer, H in enumerate(config.layers):
        found[f"lstm.{layer}.W_x"] = (D, 4 * H)
        found[f"lstm.{layer}.W_h"] = (H, 4 * H)
        found[f"lstm.{layer}.b"] = (4 * H,)
        D = H
    found["output.W"] = (D, config.vocab_size)
    found["output.b"] = (config.vocab_size,)
    return found


def count(config: ModelConfig) -> int:
    """Return the number of parameters."""
    return sum(math.prod(shape) for shape in shapes(config).values())


def views(flat: FloatArray, config: ModelConfig) -> dict[str, FloatArray]:
    """Return views into `flat (P,)` by parameter name: writing to one writes to `flat`."""
    found, start = {}, 0
    for name, shape in shapes(config).items():
        size = math.prod(shape)
        found[name] = flat[start : start + size].reshape(shape)
        start += size
    return found


def flatten(named: Mapping[str, npt.ArrayLike], config: ModelConfig) -> FloatArray:
    """Copy arrays by parameter name into a new flat array `(P,)` of the config's dtype.

    Raises `ConfigError` if a name is missing or unknown, or a shape is not the one expected.
    """
    expected = shapes(config)
    if set(named) != set(expected):
        odd = ", ".join(sorted(set(named) ^ set(expected)))
        raise ConfigError(f"parameters missing or unknown: {odd}; expected {', '.join(expected)}")
    flat: FloatArray = np.empty(count(config), config.dtype)
    for name, view in views(flat, config).items():
        value = np.asarray(named[name])
        if value.shape != view.shape:
            raise ConfigError(f"parameter {name} has shape {value.shape}; expected {view.shape}")
        view[...] = value
    return flat


def initialise(config: ModelConfig, seed: int) -> FloatArray:
    """Draw the starting parameters `(P,)`: uniform in ±1/sqrt(n), n being how many inputs a unit adds up.

    For a token that is 1: a token picks one row of `W_x`, and rows as small as those of the other weights
    cost 0.2 nats after the first epoch. Biases are drawn like `W_h`: starting them at zero costs 0.05 nats. The
    forget gates' biases start at 1 (Gers et al. 2000). Each parameter has a generator of its own, seeded with
    `seed` and its place, that draws in float64, so that the dtype changes nothing but the rounding.
    """
    flat: FloatArray = np.empty(count(config), config.dtype)
    for place, (name, view) in enumerate(views(flat, config).items()):
        bound = 1.0 / math.sqrt(_inputs(name, config))
        view[...] = np.random.default_rng([seed, place]).uniform(-bound, bound, view.shape)
        if name.startswith("lstm.") and name.endswith(".b"):
            H = len(view) // 4
            view[H : 2 * H] = 1.0
    return flat


def _inputs(name: str, config: ModelConfig) -> int:
    """Return how many inputs are added up for each unit that the parameter belongs to."""
    if name.startswith("output."):
        return config.layers[-1]
    _, layer, kind = name.split(".")
    if kind == "W_x":
        return config.layers[int(layer) - 1] if int(layer) else 1
    return config.layers[int(layer)]
