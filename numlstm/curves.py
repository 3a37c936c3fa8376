"""The losses of a run as numbers to draw, taken from its log.

Knows nothing about pictures.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from .errors import LogError
from .measures import token_name
from .runlog import Event, read

AXES = ("steps", "seconds", "tokens")

Point = tuple[float, float]  # on the axis, and the loss in nats per token


@dataclasses.dataclass(frozen=True)
class Curves:
    """A run's losses in nats per token, with a label that tells it from the others.

    `best` is the lowest validation loss and the step it came at, None where nothing was validated.
    """

    label: str
    training: list[Point]
    validation: list[Point]
    best: tuple[float, int] | None
    token: str


def load(paths: Sequence[str | os.PathLike[str]], axis: str = "steps") -> list[Curves]:
    """Read logs; `axis` is what the losses are given over: steps, seconds of training, or tokens predicted.

    Raises `LogError` if one cannot be read or tells of no loss, or if there is no such axis.
    """
    if axis not in AXES:
        raise LogError(f"--x is {axis!r}; expected {', '.join(AXES)}")
    return [_curves(path, label, axis) for path, label in zip(paths, labels(paths), strict=True)]


def labels(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return a label for each log: its name without the suffix, with as many folders as tell the logs apart."""
    parts = [Path(path).absolute().with_suffix("").parts for path in paths]
    return [_label(own, [other for other in parts if other != own]) for own in parts]


def _label(own: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    length = next((n for n in range(1, len(own)) if own[-n:] not in {other[-n:] for other in others}), len(own))
    return "/".join(own[-length:])


def smoothed(points: Sequence[Point], span: float = 0.02) -> list[Point]:
    """Return running means over about `span` of the points, which keep the first few as they are."""
    weight = max(1, round(span * len(points)))
    found: list[Point] = []
    mean = 0.0
    for n, (x, y) in enumerate(points, 1):
        mean += (y - mean) / min(n, weight)
        found.append((x, mean))
    return found


def _curves(path: str | os.PathLike[str], label: str, axis: str) -> Curves:
    events = read(path)
    places = _places(events, axis)
    training = [(places[n], e["loss"]) for n, e in enumerate(events) if e["event"] == "step" and e["loss"] is not None]
    epochs = [(n, e) for n, e in enumerate(events) if e["event"] == "epoch" and e["val_loss"] is not None]
    if not training and not epochs:
        raise LogError(f"{path} tells of no step yet; expected a log of a run that has begun")
    best = min(((e["val_loss"], e["step"]) for _, e in epochs), default=None)
    levels = [e["corpus"]["level"] for e in events if e["event"] == "start"]
    token = token_name(levels[-1]) if levels else "token"
    return Curves(label, training, [(places[n], e["val_loss"]) for n, e in epochs], best, token)


def _places(events: Sequence[Event], axis: str) -> list[float]:
    """Return where each event lies on the axis."""
    found, seconds, tokens, last = [], 0.0, 0, 0
    for event in events:
        seconds = event.get("run_seconds") or seconds
        if event["event"] == "step":  # not every step is told: those left out predicted as many tokens
            tokens += event["tokens"] * max(0, event["step"] - last)
            last = event["step"]
        found.append({"steps": event["step"], "seconds": seconds, "tokens": tokens}[axis])
    return found
