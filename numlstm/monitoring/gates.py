"""How far a network's gates open while it reads a text: whether they work or are stuck.

The fractions near the ends of a gate's range are the left- and right-saturated gates of Karpathy, Johnson & Li (2015,
"Visualizing and understanding recurrent networks"). The reference backend reads the text with a copy of the
parameters, so training is not disturbed and no other backend has to keep its gates.
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


def gate_statistics(model: Model, ids: AnyIds) -> list[dict[str, dict[str, Any]]]:
    """Return `mean`, `low`, `high` and `counts` for each gate of each layer, as defined in `events.py`.

    Reads up to 4 windows of 64 tokens from `ids (N,)`. The first 16 tokens of each are not counted, because the state
    still reflects the start of a text. The list is empty for fewer than 2 ids.
    """
    return [
        {gate: _gate_statistics(gate, values) for gate, values in layer.items()} for layer in activations(model, ids)
    ]


def activations(model: Model, ids: AnyIds) -> list[dict[str, npt.NDArray[Any]]]:
    """Return the activations of each layer's gates i f g o in the counted positions, one flat array per gate."""
    length = min(_LENGTH, (len(ids) - 1) // _STREAMS) or len(ids) - 1
    if length < 1:
        return []
    starts = np.linspace(0, len(ids) - 1 - length, _STREAMS if length * _STREAMS < len(ids) else 1).astype(int)
    x, y = (np.stack([ids[at + shift : at + shift + length] for at in starts], axis=1) for shift in (0, 1))
    twin = Model(model.config, model.backend.to_numpy(model.flat), registry.load("reference"))
    tapes: Tapes = {}
    twin.loss(x, y, tapes=tapes)
    skipped = min(_BEGINNING, length - 1)
    layers = [np.stack([step.gates for step in tape.steps[skipped:]], axis=1) for tape in layer_tapes(twin, tapes)]
    return [dict(zip(RANGES, gates.reshape(4, -1), strict=True)) for gates in layers]


def layer_tapes(model: Model, tapes: Tapes) -> list[Any]:
    """Return the reference backend's tape of each layer, without the tapes of other parts that follow them."""
    (kept,) = tapes.values()
    return kept[: len(model.config.layers)]


def _gate_statistics(gate: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    low, high = RANGES[gate]
    near = _NEAR * (high - low)
    counts, _ = np.histogram(values, BINS, (low, high))
    return {
        "mean": float(values.mean()),
        "low": float((values < low + near).mean()),
        "high": float((values > high - near).mean()),
        "counts": counts.tolist(),
    }
