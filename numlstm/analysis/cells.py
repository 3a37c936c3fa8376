"""What single cells of a network respond to, after Karpathy, Johnson & Li (2015, "Visualizing and understanding
recurrent networks"): their activations while it reads a text, and the features of the text that these follow.

Of a cell it is tanh(c) that is looked at, from -1 to 1: what the cell holds, as its output gate would show it (with
layer norm, tanh of the normalised c). The reading is done by the reference backend on a copy of the parameters, so
that it does not matter where the network lies. Knows nothing about files, terminals or pictures.

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
from ..monitoring.gates import RANGES, of_layers
from ..network.network import Tapes
from ..text.dataset.streams import AnyIds
from ..text.vocab import display
from ..text.vocab.base import Vocab
from .text_features import Feature, at_ends, features

Floats = npt.NDArray[np.floating[Any]]

CELL = "c"
_WINDOW = 256  # tokens read at a time
_FLAT = 1e-4  # the standard deviation below which a cell does nothing


@dataclasses.dataclass(frozen=True)
class Response:
    """How a cell follows a feature: Pearson's correlation, from -1 to 1, of its activations with the feature."""

    feature: str
    correlation: float


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell, its layer and its number in it counted from 0, and the features that it follows, the closest first."""

    layer: int
    number: int
    responses: tuple[Response, ...] = ()


def record(model: Model, ids: AnyIds, *, what: str = CELL) -> list[Floats]:
    """Return the activations (N, H) of each layer after each of `ids (N,)`, read from a zero state.

    `what` is "c", for tanh(c), or the gate "i", "f", "g" or "o". Raises `ConfigError` for any other,
    and `WeightsError` if weights are so large that computing fails.
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
        for values, tape in zip(found, of_layers(twin, tapes), strict=True):
            values.append(np.stack([_activation(step, what)[0] for step in tape.steps]))
            if not np.isfinite(values[-1]).all():
                raise WeightsError(
                    "the model's weights are so large that its cells hold no numbers; expected those of a trained one"
                )
    empty = [np.empty((0, H), model.config.dtype) for H in model.config.layers]
    return [np.concatenate([none, *values]) for none, values in zip(empty, found, strict=True)]


def _activation(step: Any, what: str) -> Floats:
    activation: Floats = step.tanh_c if what == CELL else step.gates[list(RANGES).index(what)]
    return activation


def token_features(vocab: Vocab, ids: AnyIds) -> dict[str, Feature]:
    """Return the features of the text after each of `ids (N,)`, by what they are called: see `text.features`."""
    parts = display.pieces(vocab, vocab.decoder(), ids)
    text = "".join(parts)
    return at_ends(features(text), [len(part) for part in parts]) if text else {}


def correlations(activity: Floats, of: Mapping[str, Feature]) -> npt.NDArray[np.float64]:
    """Return Pearson's correlation (F, H) of F features (N,) with the activations (N, H) of each cell.

    It is 0 for a cell or a feature that does not change.
    """
    values = np.stack([*of.values()]) if of else np.empty((0, len(activity)))
    return np.asarray(_standard(values) @ _standard(activity.T).T / max(len(activity), 1))


def _standard(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return rows (R, N) with mean 0 and variance 1, or 0 where they do not change."""
    centred = rows.astype(np.float64) - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = centred.std(axis=1, keepdims=True)
    return np.asarray(np.where(spread > _FLAT, centred / np.maximum(spread, _FLAT), 0.0))


def telling(
    activity: Sequence[Floats], of: Mapping[str, Feature], count: int, *, layer: int | None = None
) -> list[Cell]:
    """Return up to `count` cells that follow a feature the most closely, each another feature.

    `activity` is (N, H) for each layer; `layer` is the only one to look in. The closest comes first.
    """
    found: list[Cell] = []
    seen: set[int] = set()
    if not of:
        return found
    for closeness, n, cell, f in sorted(_closest(activity, of, layer)):
        if closeness and f not in seen and len(found) < count:
            seen.add(f)
            found.append(described(activity, of, n, cell))
    return found


def _closest(
    activity: Sequence[Floats], of: Mapping[str, Feature], layer: int | None
) -> Iterator[tuple[float, int, int, int]]:
    """Yield for each cell, after minus its closest correlation, its layer and number and the place of the feature."""
    for n, values in enumerate(activity):
        if layer is None or n == layer:
            table = np.abs(correlations(values, of))
            for cell, f in enumerate(table.argmax(axis=0).tolist()):
                yield -float(table[f, cell]), n, cell, f


def described(activity: Sequence[Floats], of: Mapping[str, Feature], layer: int, number: int) -> Cell:
    """Return a cell with its responses to all features, the closest first.

    Raises `ConfigError` if there is no such cell.
    """
    if not 0 <= layer < len(activity):
        raise ConfigError(f"the layer is {layer}; expected 0 to {len(activity) - 1}")
    if not 0 <= number < activity[layer].shape[1]:
        raise ConfigError(f"the cell is {number}; expected 0 to {activity[layer].shape[1] - 1} in layer {layer}")
    found = correlations(activity[layer][:, number : number + 1], of)[:, 0].tolist()
    responses = [Response(name, r) for name, r in zip(of, found, strict=True)]
    return Cell(layer, number, tuple(sorted(responses, key=lambda each: -abs(each.correlation))))


def liveliest(of: Mapping[str, Feature], chosen: Sequence[Cell], length: int) -> int:
    """Return where a stretch of `length` tokens starts in which the features that `chosen` follow change the most."""
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
    """Return where the first line with something on it starts, 0 if none does."""
    starts = np.flatnonzero((column[:-1] == 0) & (column[1:] > 0))
    return int(starts[0]) + 1 if len(starts) else 0


def _share(feature: Feature, at: int, length: int) -> float:
    """Return how much a feature varies in a stretch, against the whole; no more than 1, so that all have a say."""
    whole = float(feature.std())
    return min(1.0, float(feature[at : at + length].std()) / whole) if whole else 0.0
