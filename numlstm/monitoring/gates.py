"""How far the gates of a network open while it reads a text: whether they work, or are stuck.

The shares near the ends of a gate's range are what Karpathy, Johnson & Li (2015, "Visualizing and understanding
recurrent networks") call left and right saturated. The reading is done by the reference backend on a copy of the
parameters, so that whatever trains is not disturbed and no other backend need keep its gates. Knows nothing about
training or files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..backends import registry
from ..model import Model
from ..network.network import Tapes
from ..text.dataset.streams import AnyIds

BINS = 20
RANGES = {"i": (0.0, 1.0), "f": (0.0, 1.0), "g": (-1.0, 1.0), "o": (0.0, 1.0)}

_STREAMS, _LENGTH, _BEGINNING = 4, 64, 16
_NEAR = 0.1  # of the range: Karpathy et al. count below 0.1 and above 0.9


def measured(model: Model, ids: AnyIds) -> list[dict[str, dict[str, Any]]]:
    """Return, for each layer and each of its gates, `mean`, `low`, `high` and `counts`, as `events.py` tells.

    `ids (N,)` is read in up to 4 places for 64 tokens each, of which the first 16 are not counted: there the state is
    that of a text's beginning. Nothing is returned for fewer than 2 ids.
    """
    return [{gate: _told(gate, values) for gate, values in layer.items()} for layer in activations(model, ids)]


def activations(model: Model, ids: AnyIds) -> list[dict[str, npt.NDArray[Any]]]:
    """Return the activations of each layer's gates i f g o in those places, (N,) each."""
    length = min(_LENGTH, (len(ids) - 1) // _STREAMS) or len(ids) - 1
    if length < 1:
        return []
    starts = np.linspace(0, len(ids) - 1 - length, _STREAMS if length * _STREAMS < len(ids) else 1).astype(int)
    x, y = (np.stack([ids[at + shift : at + shift + length] for at in starts], axis=1) for shift in (0, 1))
    twin = Model(model.config, model.backend.to_numpy(model.flat), registry.load("reference"))
    tapes: Tapes = {}
    twin.loss(x, y, tapes=tapes)
    skipped = min(_BEGINNING, length - 1)
    layers = [np.stack([step.gates for step in tape.steps[skipped:]], axis=1) for tape in of_layers(twin, tapes)]
    return [dict(zip(RANGES, gates.reshape(4, -1), strict=True)) for gates in layers]


def of_layers(model: Model, tapes: Tapes) -> list[Any]:
    """Return what the reference backend kept of each layer: after a network's layers its tapes hold other things."""
    (kept,) = tapes.values()
    return kept[: len(model.config.layers)]


def _told(gate: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    low, high = RANGES[gate]
    near = _NEAR * (high - low)
    counts, _ = np.histogram(values, BINS, (low, high))
    return {
        "mean": float(values.mean()),
        "low": float((values < low + near).mean()),
        "high": float((values > high - near).mean()),
        "counts": counts.tolist(),
    }
