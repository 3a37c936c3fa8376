"""The parameters of a network: one flat array, named views into it, and their initialisation.

Names and shapes (see the NOTATION block of `network.py`): `embedding.W (V, E)` if tokens are embedded. For each layer
l, `lstm.l.W_x (D, 4H)`, `lstm.l.W_h (R, 4H)` and `lstm.l.b (4H)`; with a projection `lstm.l.W_p (H, R)`; with layer
norm `lstm.l.gain (4H)`, `lstm.l.c_gain (H)` and `lstm.l.c_bias (H)`. Then `output.W (R, V)`, unless tied to the
embedding, and `output.b (V)`. R is the size of h: H, or the projection size. With one flat array, an optimizer step,
clipping, saving and copying are one operation each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..backends.spec import rounding as rounding_rule
from ..errors import ConfigError
from ..settings.network import NetworkSettings

FloatArray = npt.NDArray[np.floating[Any]]


def shapes(config: NetworkSettings) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter by name, in the order of the flat array."""
    found: dict[str, tuple[int, ...]] = {}
    D = config.vocab_size
    if config.embedding:
        found["embedding.W"] = (D, config.embedding)
        D = config.embedding
    for layer, (H, R) in enumerate(zip(config.layers, config.state_sizes, strict=True)):
        found |= {f"lstm.{layer}.{name}": shape for name, shape in layer_shapes(D, H, R, config).items()}
        D = R
    if not config.tie_weights:
        found["output.W"] = (D, config.vocab_size)
    found["output.b"] = (config.vocab_size,)
    return found


def layer_shapes(D: int, H: int, R: int, config: NetworkSettings) -> dict[str, tuple[int, ...]]:
    """Return the shapes of one layer's parameters by name without prefix: D inputs, H units, h of R entries."""
    found: dict[str, tuple[int, ...]] = {"W_x": (D, 4 * H), "W_h": (R, 4 * H), "b": (4 * H,)}
    if config.projection:
        found["W_p"] = (H, R)
    if config.layer_norm:
        found |= {"gain": (4 * H,), "c_gain": (H,), "c_bias": (H,)}
    return found


def count(config: NetworkSettings) -> int:
    """Return the number of parameters."""
    return sum(math.prod(shape) for shape in shapes(config).values())


def views(flat: FloatArray, config: NetworkSettings) -> dict[str, FloatArray]:
    """Return views into `flat (P,)` by parameter name: writing to one writes to `flat`."""
    found, start = {}, 0
    for name, shape in shapes(config).items():
        size = math.prod(shape)
        found[name] = flat[start : start + size].reshape(shape)
        start += size
    return found


def flatten(named: Mapping[str, npt.ArrayLike], config: NetworkSettings) -> FloatArray:
    """Copy arrays by parameter name into a new flat array `(P,)` of the config's dtype.

    Raises `ConfigError` if a name is missing or unknown, or a shape is wrong.
    """
    expected = shapes(config)
    if set(named) != set(expected):
        odd = ", ".join(sorted(set(named) ^ set(expected)))
        raise ConfigError(f"missing or unknown parameters: {odd}; expected {', '.join(expected)}")
    flat: FloatArray = np.empty(count(config), config.dtype)
    for name, view in views(flat, config).items():
        value = np.asarray(named[name])
        if value.shape != view.shape:
            raise ConfigError(f"parameter {name} has shape {value.shape}; expected {view.shape}")
        view[...] = value
    return flat


def rounded(flat: FloatArray, config: NetworkSettings, rounding: str) -> FloatArray:
    """Return parameters with the weights of all products rounded to "bf16" or "int8"; as they are if `rounding` is "".

    The first layer looks up rows of W_x, so these stay; with tied weights, those of the embedding are the output's.
    """
    if not rounding:
        return flat
    result = np.array(flat)
    looked_up = "embedding.W" if config.embedding else "lstm.0.W_x"
    for name, W in views(result, config).items():
        if W.ndim == 2 and name != looked_up:
            W[...] = rounding_rule.rounded(W, rounding)
        elif name == "embedding.W" and config.tie_weights:
            W[...] = rounding_rule.rounded(W.T, rounding).T
    return result


def initialise(config: NetworkSettings, seed: int) -> FloatArray:
    """Draw initial parameters `(P,)`, uniform in ±1/sqrt(n), where n is the number of inputs a unit sums (its fan-in).

    For token inputs n is 1, because a token selects one row of `W_x`; rows as small as those of the other weights
    cost 0.2 nats after the first epoch. Biases are drawn like `W_h`: zero biases cost 0.05 nats. Forget gate biases
    start at 1 (Gers et al. 2000). With layer norm, gains start at 1 and all biases except the forget gates' at 0,
    because their inputs are normalised. Each parameter has its own generator, seeded with `seed` and its position. It
    draws in float64, so the dtype affects only the rounding.
    """
    flat: FloatArray = np.empty(count(config), config.dtype)
    for place, (name, view) in enumerate(views(flat, config).items()):
        bound = 1.0 / math.sqrt(_inputs(name, config))
        view[...] = np.random.default_rng([seed, place]).uniform(-bound, bound, view.shape)
        kind = name.rpartition(".")[2]
        if kind in ("gain", "c_gain"):
            view[...] = 1.0
        if kind == "c_bias" or (kind == "b" and name.startswith("lstm.") and config.layer_norm):
            view[...] = 0.0
        if kind == "b" and name.startswith("lstm."):
            H = len(view) // 4
            view[H : 2 * H] = 1.0
    return flat


def _inputs(name: str, config: NetworkSettings) -> int:
    """Return the fan-in of the units that the parameter belongs to."""
    if name == "embedding.W":
        return config.embedding if config.tie_weights else 1
    if name.startswith("output."):
        return config.state_sizes[-1]
    _, layer, kind = name.split(".")
    if kind == "W_x":
        below = (config.embedding or 1, *config.state_sizes)
        return below[int(layer)]
    return config.layers[int(layer)] if kind == "W_p" else config.state_sizes[int(layer)]
