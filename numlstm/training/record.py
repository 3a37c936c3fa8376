"""What a run has come to besides its arrays: losses, its place in the text, the text. Its file keeps it as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import ConfigError, WeightsError
from ..settings.text import TextSettings
from .optimizers import Plateau

NOT_NOTED = -1

_SUMMARY = ("best_loss", "best_step", "seconds", "history", "corpus", "commands")
_SNAPSHOT = ("seconds", "history", "corpus", "commands")  # the best loss is of other parameters


class EpochResult(NamedTuple):
    """The losses of an epoch that ended after `step` updates, in nats per token; `val_loss` None without validation."""

    step: int
    loss: float
    val_loss: float | None


@dataclasses.dataclass(frozen=True)
class CorpusRecord:
    """The text of a run: where and how it was read, and what it is known by. `characters` is its length in tokens."""

    sources: tuple[str, ...]
    encoding: str
    digest: str
    characters: int
    level: TextSettings

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CorpusRecord:
        """Return what `to_json` made; raises `KeyError`, `TypeError` or `ConfigError` for anything else."""
        level = {each.name: values[each.name] for each in dataclasses.fields(TextSettings) if each.name in values}
        return cls(
            sources=_tuple_of(_text)(values["sources"]),
            encoding=_text(values["encoding"]),
            digest=_text(values["digest"]),
            characters=_whole(values["characters"]),
            level=TextSettings(**level),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the values that a file keeps."""
        facts = {"encoding": self.encoding, "digest": self.digest, "characters": self.characters}
        return {"sources": list(self.sources), **facts, **self.level.to_dict()}


@dataclasses.dataclass
class Record:
    """What a run has come to. Losses are in nats per token; `seconds` of training are summed over all resumes.

    `epoch` counts the epochs before this one, `position` is the place in it (see `Batches`), and `epoch_loss` sums its
    losses over `epoch_tokens`. `stale_epochs` are the whole ones since the best validation loss, `left_out` the
    latest updates in a row that fp16 had to leave out. `epochs` is how many the run is to have in all, None where a
    number of steps was asked for. Files older than `position` or `epochs` give them as `NOT_NOTED`, and
    `state.find_place` works them out. `began`, `averaged` and `loss_scale` are counted by the optimizer, the average
    and the device: they are right in what `TrainingState.to_file` returns.
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
        """Return the record that a file holds; values of names that are not known here are left out.

        Raises `WeightsError` if a value is of another type.
        """
        found: dict[str, Any] = {"position": NOT_NOTED, "epochs": NOT_NOTED}
        for name, read in _READERS.items():
            if name not in values:
                continue
            try:
                found[name] = read(values[name])
            except (TypeError, ValueError, KeyError, ConfigError):
                raise WeightsError(
                    f"the {name} of its training record is {values[name]!r:.60}; expected what `train` writes there: "
                    "use an earlier file, or a snapshot"
                ) from None
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        """Return the values that a file keeps, by name."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        values |= {"corpus": self.corpus and self.corpus.to_json()}
        unset = ("corpus", "averaged", "loss_scale")
        return {name: value for name, value in values.items() if value is not None or name not in unset}

    def summary(self, *, snapshot: bool = False) -> dict[str, Any]:
        """Return what a file shows of the run; a snapshot's parameters are not those of the best loss."""
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
