"""Find what single cells respond to: record activations while a network reads a text, and correlate them with features.

The method follows Karpathy, Johnson & Li (2015, "Visualizing and understanding recurrent networks"). The activation of
a cell is tanh(c), from -1 to 1: the cell's content before its output gate (with layer norm, tanh of the normalised c).
The reference backend reads the text with a copy of the parameters, so the network may be on any device.

    model = numlstm.load("weights.npz")
    ids = model.vocab.encode(text)
    seen = cells.record(model, ids)                              # a layer: (N, H)
    cells.telling(seen, cells.token_features(model.vocab, ids), 6)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..backends import registry
from ..errors import ConfigError, WeightsError
from ..model import Model
from ..monitoring.gates import RANGES, layer_tapes
from ..network.network import Tapes
from ..text.dataset.streams import AnyIds
from ..text.vocab import display
from ..text.vocab.base import Vocab
from .text_features import Feature, at_ends, features

Floats = npt.NDArray[np.floating[Any]]

CELL = "c"
_WINDOW = 256  # tokens per call
_FLAT = 1e-4  # below this standard deviation a cell or feature counts as constant


@dataclasses.dataclass(frozen=True)
class Response:
    """Pearson's correlation, from -1 to 1, of a cell's activations with a feature."""

    feature: str
    correlation: float


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell, by layer and number within the layer, both from 0, with its responses, the strongest first."""

    layer: int
    number: int
    responses: tuple[Response, ...] = ()


def record(model: Model, ids: AnyIds, *, what: str = CELL) -> list[Floats]:
    """Return the activations (N, H) of each layer after each of `ids (N,)`, read from a zero state.

    `what` is "c" for tanh(c), or the gate "i", "f", "g" or "o". Raises `ConfigError` for any other value, and
    `WeightsError` if the weights are so large that activations are not finite.
    """
    if what != CELL and what not in RANGES:
        raise ConfigError(f"the activation is {what!r}; expected {CELL}, {', '.join(RANGES)}")
    twin = Model(model.config, model.backend.to_numpy(model.flat), registry.load("reference"))
    state = twin.zero_state(1)
    found: list[list[Floats]] = [[] for _ in model.config.layers]
    for first in range(0, len(ids), _WINDOW):
        window = np.asarray(ids[first : first + _WINDOW])[:, None]
        tapes: Tapes = {}
        _, state = twin.loss(window, window, state, tapes=tapes)
        for values, tape in zip(found, layer_tapes(twin, tapes), strict=True):
            values.append(np.stack([_activation(step, what)[0] for step in tape.steps]))
            if not np.isfinite(values[-1]).all():
                raise WeightsError(
                    "the model's weights are so large that its activations are not finite; expected a trained model"
                )
    empty = [np.empty((0, H), model.config.dtype) for H in model.config.layers]
    return [np.concatenate([none, *values]) for none, values in zip(empty, found, strict=True)]


def _activation(step: Any, what: str) -> Floats:
    activation: Floats = step.tanh_c if what == CELL else step.gates[list(RANGES).index(what)]
    return activation


def token_features(vocab: Vocab, ids: AnyIds) -> dict[str, Feature]:
    """Return the features, by name, of the text after each of `ids (N,)`; see `text_features.features`."""
    parts = display.pieces(vocab, vocab.decoder(), ids)
    text = "".join(parts)
    return at_ends(features(text), [len(part) for part in parts]) if text else {}


def correlations(activity: Floats, of: Mapping[str, Feature]) -> npt.NDArray[np.float64]:
    """Return Pearson's correlation (F, H) of F features (N,) with the activations (N, H) of each cell.

    The correlation with a constant cell or feature is 0.
    """
    values = np.stack([*of.values()]) if of else np.empty((0, len(activity)))
    return np.asarray(_standard(values) @ _standard(activity.T).T / max(len(activity), 1))


def _standard(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Standardise rows (R, N) to mean 0 and variance 1; constant rows become 0."""
    centred = rows.astype(np.float64) - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = centred.std(axis=1, keepdims=True)
    return np.asarray(np.where(spread > _FLAT, centred / np.maximum(spread, _FLAT), 0.0))


def most_responsive(
    activity: Sequence[Floats], of: Mapping[str, Feature], count: int, *, layer: int | None = None
) -> list[Cell]:
    """Return the `count` cells with the strongest correlations, at most one per feature, the strongest first.

    `activity` is (N, H) for each layer. `layer` restricts the search to one layer.
    """
    found: list[Cell] = []
    seen: set[int] = set()
    if not of:
        return found
    for closeness, n, cell, f in sorted(_closest(activity, of, layer)):
        if closeness and f not in seen and len(found) < count:
            seen.add(f)
            found.append(describe(activity, of, n, cell))
    return found


def _closest(
    activity: Sequence[Floats], of: Mapping[str, Feature], layer: int | None
) -> Iterator[tuple[float, int, int, int]]:
    """Yield each cell's best feature: minus its absolute correlation, the layer, the cell and the feature's index."""
    for n, values in enumerate(activity):
        if layer is None or n == layer:
            table = np.abs(correlations(values, of))
            for cell, f in enumerate(table.argmax(axis=0).tolist()):
                yield -float(table[f, cell]), n, cell, f


def describe(activity: Sequence[Floats], of: Mapping[str, Feature], layer: int, number: int) -> Cell:
    """Return a cell with its responses to all features, the strongest first.

    Raises `ConfigError` if the layer or the cell does not exist.
    """
    if not 0 <= layer < len(activity):
        raise ConfigError(f"the layer is {layer}; expected 0 to {len(activity) - 1}")
    if not 0 <= number < activity[layer].shape[1]:
        raise ConfigError(f"the cell is {number}; expected 0 to {activity[layer].shape[1] - 1} in layer {layer}")
    found = correlations(activity[layer][:, number : number + 1], of)[:, 0].tolist()
    responses = [Response(name, r) for name, r in zip(of, found, strict=True)]
    return Cell(layer, number, tuple(sorted(responses, key=lambda each: -abs(each.correlation))))


def most_varied_stretch(of: Mapping[str, Feature], chosen: Sequence[Cell], length: int) -> int:
    """Return the start of a stretch of `length` tokens where the strongest features of `chosen` vary the most."""
    names = {cell.responses[0].feature for cell in chosen if cell.responses}
    size = len(next(iter(of.values()))) if of else 0
    starts = range(0, max(size - length, 0) + 1, max(length // 4, 1))
    if not names or len(starts) < 2:  # the text is shown whole
        return 0
    spreads = [sum(_share(of[name], at, length) for name in sorted(names)) for at in starts]
    best = starts[int(np.argmax(spreads))]
    column = of.get("position in the line", np.empty(0))[best : best + length // 4]
    return best + (_line_start(column) if best else 0)


def _line_start(column: Feature) -> int:
    """Return the start of the first non-empty line, or 0 if there is none."""
    starts = np.flatnonzero((column[:-1] == 0) & (column[1:] > 0))
    return int(starts[0]) + 1 if len(starts) else 0


def _share(feature: Feature, at: int, length: int) -> float:
    """Return a feature's deviation in a stretch relative to the whole; at most 1, so that no feature dominates."""
    whole = float(feature.std())
    return min(1.0, float(feature[at : at + length].std()) / whole) if whole else 0.0
