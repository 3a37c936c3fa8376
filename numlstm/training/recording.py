"""Record a run's events in a log and in TensorBoard files.

A full disk or any other failure to write them is reported once and does not stop training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol

from ..errors import DivergedError, LogError
from ..text.dataset.corpus import Corpus
from ..text.dataset.streams import split
from . import events
from .loop import Epoch, Progress
from .state import TrainingState

Event = dict[str, Any]


class Sink(Protocol):
    """A destination for events."""

    def write(self, event: Event) -> None:
        """Write an event; raises `LogError` if that fails."""

    def close(self) -> None:
        """Close the file, if one is open."""


def open_sinks(log: str | None, tensorboard: str | None) -> list[Sink]:
    """Open the requested sinks; raises `LogError` if one cannot be written or a library is missing."""
    from ..monitoring.run_log import RunLog
    from ..monitoring.tensorboard import Board, check_installed

    if tensorboard:
        check_installed()
    sinks: list[Sink] = [RunLog(log)] if log else []
    return [*sinks, Board(tensorboard)] if tensorboard else sinks


class Recorder:
    """Sends a run's events to the sinks. Use as a context manager around the whole run."""

    def __init__(
        self, sinks: Iterable[Sink], run: TrainingState, text: Corpus, output: str, say: Callable[[str], None]
    ) -> None:
        self.sinks, self.run, self.text, self.output, self.say = list(sinks), run, text, output, say
        self.failed: set[int] = set()

    def __enter__(self) -> Recorder:
        if self.sinks:
            self._tell(events.start(self.run, self.text, self.output))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.sinks:
            self._tell(events.end(self.run, self._reason(error)))
        for sink in self.sinks:
            sink.close()

    def follow(self, progress: Iterable[Progress]) -> Iterator[Progress]:
        """Yield a run's progress unchanged, and record it."""
        for each in progress:
            if self.sinks:
                self._progress(each)
            yield each

    def samples(self, prompt: str, texts: Mapping[float, str]) -> None:
        """Record samples, given by temperature."""
        for temperature, text in texts.items():
            self._tell(events.sample(self.run, prompt, temperature, text))

    def _progress(self, progress: Progress) -> None:
        if isinstance(progress, Epoch):
            self._tell(events.epoch(self.run, progress))
            training, validation = split(self.text.ids, self.run.config.val_split)
            for event in events.gate_counts(self.run, validation if len(validation) > 1 else training):
                self._tell(event)
        elif events.is_logged(self.run, progress):
            self._tell(events.step(self.run, progress))

    def _tell(self, event: Event) -> None:
        for place, sink in enumerate(self.sinks):
            try:
                sink.write(event)
            except LogError as error:
                if place not in self.failed:
                    self.failed.add(place)
                    self.say(f"{error}; training continues")

    def _reason(self, error: BaseException | None) -> str:
        if error is None:
            return "done" if self.run.complete else "stopped"
        if isinstance(error, DivergedError):
            return "diverged"
        return "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
