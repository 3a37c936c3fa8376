"""A run's loss curves as numbers, read from its log."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import LogError
from ..text.vocab.base import UNITS
from .run_log import Event, read

AXES = ("steps", "seconds", "tokens")

Point = tuple[float, float]  # position on the axis, loss in nats per token


@dataclasses.dataclass(frozen=True)
class Curves:
    """A run's losses in nats per token, with a label that tells it from other runs.

    `best` is the lowest validation loss and its step, None if nothing was validated.
    """

    label: str
    training: list[Point]
    validation: list[Point]
    best: tuple[float, int] | None
    token: str


def load(paths: Sequence[str | os.PathLike[str]], axis: str = "steps") -> list[Curves]:
    """Read loss curves from logs; `axis` is the x axis: steps, seconds of training, or tokens predicted.

    Raises `LogError` if a log cannot be read or has no losses, or if the axis is unknown.
    """
    if axis not in AXES:
        raise LogError(f"--x is {axis!r}; expected {', '.join(AXES)}")
    return [_curves(path, label, axis) for path, label in zip(paths, labels(paths), strict=True)]


def labels(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return a label for each log: its name without the suffix, with enough folders to tell the logs apart."""
    files = [Path(path).absolute() for path in paths]
    parts = [_name(file, [other for other in files if other != file]).parts for file in files]
    return [_label(own, [other for other in parts if other != own]) for own in parts]


def _name(file: Path, others: Sequence[Path]) -> Path:
    """Return a path without its suffix, unless another path differs only in the suffix, such as lr0.1 and lr0.01."""
    bare = file.parent / file.stem
    return file if any(bare == other.parent / other.stem for other in others) else bare


def _label(own: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    length = next((n for n in range(1, len(own)) if own[-n:] not in {other[-n:] for other in others}), len(own))
    return "/".join(own[-length:])


def smoothed(points: Sequence[Point], span: float = 0.02) -> list[Point]:
    """Return running means over about `span` of the points; the first few average only the points so far."""
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
    training = _points(events, "step", "loss", places)
    validation = _points(events, "epoch", "val_loss", places)
    if not training and not validation:
        raise LogError(f"{path} has no steps yet; expected the log of a run that has begun")
    best = min(_points(events, "epoch", "val_loss", [event["step"] for event in events]), key=_loss, default=None)
    corpora = [event.get("corpus") for event in events if event["event"] == "start"]
    level = corpora[-1].get("level") if corpora and isinstance(corpora[-1], dict) else None
    token = UNITS.get(str(level), "token")
    return Curves(label, training, validation, best and (best[1], int(best[0])), token)


def _points(events: Sequence[Event], kind: str, name: str, places: Sequence[float]) -> list[Point]:
    """Return the points of a loss in one kind of event, without losses that are unknown or lost in a damaged log."""
    points = [(place, _number(e, name)) for e, place in zip(events, places, strict=True) if e["event"] == kind]
    return [(place, loss) for place, loss in points if loss is not None]


def _loss(point: Point) -> tuple[float, float]:
    return point[1], point[0]


def _number(event: Event, name: str) -> float | None:
    value = event.get(name)
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _places(events: Sequence[Event], axis: str) -> list[float]:
    """Return the position of each event on the axis."""
    found, seconds, tokens, last = [], 0.0, 0.0, 0
    for event in events:
        seconds = _number(event, "run_seconds") or seconds
        if event["event"] == "step":  # skipped steps predicted as many tokens as this one
            tokens += (_number(event, "tokens") or 0) * max(0, event["step"] - last)
            last = event["step"]
        found.append({"steps": event["step"], "seconds": seconds, "tokens": tokens}[axis])
    return found
