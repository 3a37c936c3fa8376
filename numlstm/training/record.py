"""A run's state besides its arrays, stored as JSON in its file: losses, position in the text, the text's identity."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import ConfigError, WeightsError
from ..settings.text import TextSettings
from .optimizers import Plateau

NOT_RECORDED = -1

_SUMMARY = ("best_loss", "best_step", "seconds", "history", "corpus", "commands")
_SNAPSHOT = ("seconds", "history", "corpus", "commands")  # the best loss belongs to other parameters


class EpochResult(NamedTuple):
    """An epoch's losses in nats per token; it ended after `step` updates. `val_loss` is None without validation."""

    step: int
    loss: float
    val_loss: float | None


@dataclasses.dataclass(frozen=True)
class CorpusRecord:
    """The text of a run: its sources, how they were read, and its digest. `characters` is its length in tokens."""

    sources: tuple[str, ...]
    encoding: str
    digest: str
    characters: int
    level: TextSettings

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CorpusRecord:
        """Rebuild a record from `to_json`; raises `KeyError`, `TypeError` or `ConfigError` for anything else."""
        level = {each.name: values[each.name] for each in dataclasses.fields(TextSettings) if each.name in values}
        return cls(
            sources=_tuple_of(_text)(values["sources"]),
            encoding=_text(values["encoding"]),
            digest=_text(values["digest"]),
            characters=_whole(values["characters"]),
            level=TextSettings(**level),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the values to store in a file."""
        facts = {"encoding": self.encoding, "digest": self.digest, "characters": self.characters}
        return {"sources": list(self.sources), **facts, **self.level.to_dict()}


@dataclasses.dataclass
class Record:
    """A run's state besides its arrays. Losses are in nats per token; `seconds` of training sum over all resumes.

    `epoch` counts the epochs before the current one, `position` is the position in it (see `Batches`), and `epoch_loss`
    is the sum of its losses over `epoch_tokens`. `stale_epochs` counts the whole epochs since the best validation loss,
    `left_out` the latest consecutive updates that fp16 skipped. `epochs` is the run's total, None if a number of steps
    was requested. In files that predate `position` or `epochs` they are `NOT_RECORDED`, and `state.find_place` computes
    them. `began`, `averaged` and `loss_scale` are tracked by the optimizer, the average and the device: they are
    up to date only in the result of `TrainingState.to_file`.
    """

    best_loss: float | None = None
    best_step: int = 0
    epoch: int = 0
    position: int = 0
    epoch_loss: float = 0.0
    epoch_tokens: int = 0
    stale_epochs: int = 0
    plateau: Plateau = dataclasses.field(default_factory=Plateau)
    seconds: float = 0.0
    history: list[EpochResult] = dataclasses.field(default_factory=list)
    left_out: int = 0
    corpus: CorpusRecord | None = None
    epochs: int | None = None
    snapshot_epochs: tuple[int, ...] = ()
    commands: tuple[str, ...] = ()
    began: int = 0
    averaged: int | None = None
    loss_scale: tuple[float, float] | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Record:
        """Return the record in a file, without unknown names.

        Raises `WeightsError` if a value has the wrong type.
        """
        found: dict[str, Any] = {"position": NOT_RECORDED, "epochs": NOT_RECORDED}
        for name, read in _READERS.items():
            if name not in values:
                continue
            try:
                found[name] = read(values[name])
            except (TypeError, ValueError, KeyError, ConfigError):
                raise WeightsError(
                    f"the {name} of its training record is {values[name]!r:.60}; expected a value that `train` writes: "
                    "use an earlier file, or a snapshot"
                ) from None
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        """Return the values to store in a file, by name."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        values |= {"corpus": self.corpus and self.corpus.to_json()}
        unset = ("corpus", "averaged", "loss_scale")
        return {name: value for name, value in values.items() if value is not None or name not in unset}

    def summary(self, *, snapshot: bool = False) -> dict[str, Any]:
        """Return the values that a file shows about the run; for a `snapshot`, without the best loss."""
        values = self.to_json()
        return {name: values[name] for name in (_SNAPSHOT if snapshot else _SUMMARY) if name in values}


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _tuple_of(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda values: tuple(map(read, _sequence(values)))


def _sequence(values: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(values, (list, tuple)):
        raise TypeError
    return values


def _plateau(value: Any) -> Plateau:
    best, bad, reductions = _sequence(value)
    return Plateau(_or_none(_number)(best), _whole(bad), _whole(reductions))


def _epoch_result(value: Any) -> EpochResult:
    step, loss, val_loss = _sequence(value)
    return EpochResult(_whole(step), _number(loss), _or_none(_number)(val_loss))


def _loss_scale(value: Any) -> tuple[float, float]:
    scale, good_updates = _sequence(value)
    return _number(scale), _number(good_updates)


_READERS: dict[str, Callable[[Any], Any]] = {
    "best_loss": _or_none(_number),
    "best_step": _whole,
    "epoch": _whole,
    "position": _whole,
    "epoch_loss": _number,
    "epoch_tokens": _whole,
    "stale_epochs": _whole,
    "plateau": _plateau,
    "seconds": _number,
    "history": lambda values: list(map(_epoch_result, _sequence(values))),
    "left_out": _whole,
    "corpus": CorpusRecord.from_json,
    "epochs": _or_none(_whole),
    "snapshot_epochs": _tuple_of(_whole),
    "commands": _tuple_of(_text),
    "began": _whole,
    "averaged": _or_none(_whole),
    "loss_scale": _loss_scale,
}
