"""A training run: iterates over steps and epochs, saves and logs them, and writes samples."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from ..errors import ConfigError, DivergedError
from ..model import Model
from ..network import weights_file
from ..settings.amounts import Every, parse_duration, parse_every
from ..settings.commands import Options
from ..settings.network import NetworkSettings
from ..settings.training import TrainingSettings
from ..text.dataset.corpus import Corpus
from ..text.dataset.streams import split
from . import loop, samples, setup
from .checkpoint import Saver
from .loop import Epoch, Progress, Step
from .record import EpochResult
from .recording import Recorder, Sink
from .samples import Samples
from .state import TrainingState, epochs_in
from .stopping import Stop

Event = Progress | Samples

_SAMPLES = 10  # sets of samples in a run, unless `sample_every` is given


class Run:
    """A training run, created by `new_run` or `resume_run`. Iterate over it to train.

    >>> run = numlstm.new_run("corpus.txt", layers=16, steps=3, seed=0)
    >>> for event in run:  # a Step after each update, an Epoch after each epoch
    ...     print(type(event).__name__, event.step)
    Step 1
    Step 2
    Step 3
    Epoch 3
    >>> run
    <numlstm run: layers 16, step 3 of 3, best validation loss ...>

    You may leave the loop at any time; the next loop continues from there. With `output` the run is saved there every
    minute, after each epoch and when the loop ends. `text` is the training text; `notes` lists what changed on resume.
    """

    def __init__(
        self,
        text: Corpus,
        state: TrainingState,
        options: Options,
        *,
        notes: Sequence[str] = (),
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.text, self.state, self.notes = text, state, tuple(notes)
        self.output: str | None = options.get("output")
        self.max_seconds = parse_duration("`max_time`", options["max_time"]) if "max_time" in options else None
        self._sinks = sinks
        every = parse_every("`save_every`", options["save_every"]) if "save_every" in options else Every()
        self._saver = Saver(state, self.output, every, lambda line: self.warn(line)) if self.output else None
        self.prompt: str | None = options.get("prompt")
        self.sample_length: int = options.get("sample_length", 0)
        self.sample_every: int = options.get("sample_every") or self._epochs_between_samples()
        self.warn: Callable[[str], None] = warnings.warn  # called with failures that do not end the run
        self.around_samples: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    @property
    def model(self) -> Model:
        """The current model, with averaged weights if the run averages them. Further training changes it."""
        return self.state.evaluation_model()

    @property
    def network(self) -> NetworkSettings:
        """The network's settings."""
        return self.state.model.config

    @property
    def settings(self) -> TrainingSettings:
        """The training settings."""
        return self.state.config

    @property
    def step(self) -> int:
        """The number of updates made."""
        return self.state.step

    @property
    def finished(self) -> bool:
        """True if nothing is left to do."""
        return self.state.complete

    @property
    def history(self) -> list[EpochResult]:
        """Each epoch's last step, loss and validation loss, in nats per token."""
        return list(self.state.record.history)

    @property
    def best_loss(self) -> float | None:
        """The lowest validation loss so far, in nats per token."""
        return self.state.record.best_loss

    def best_model(self) -> Model:
        """Return the model with the lowest validation loss so far, or the last model if nothing was validated.

        >>> run = numlstm.new_run("corpus.txt", layers=16, epochs=1)
        >>> losses = [event.loss for event in run]
        >>> len(run.best_model().generate("Day ", length=20))
        20
        """
        file = self.state.to_file()
        return Model(file.config, file.params, self.state.model.backend, vocab=file.vocab)

    def save(self, path: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> None:
        """Save the run: the best parameters, and everything needed to resume it bit for bit.

        Saves to `output` if no path is given. Raises `ConfigError` if there is neither, and `StorageError` if the file
        cannot be written, or if it exists, is not `output`, and `overwrite` is False.

        >>> run = numlstm.new_run("corpus.txt", layers=16, steps=3)
        >>> run.save("untrained.npz")
        """
        if path is None and self.output is None:
            raise ConfigError("the run has no `output` to save to; expected a path")
        if path is not None and os.fspath(path) != self.output:
            weights_file.check_output(os.fspath(path), overwrite=overwrite)
        weights_file.save(os.fspath(path or self.output or ""), self.state.to_file())

    def keep(self) -> None:
        """Save the run to `output` if there is anything new; if that fails, to the temporary folder.

        In that case raises `StorageError` that says where the run was saved.
        """
        if self._saver:
            self._saver.save_or_rescue()

    def saved_state_line(self) -> str:
        """Return a short description of what the file holds."""
        return self._saver.saved_state_line() if self._saver else "nothing is saved"

    def __iter__(self) -> Iterator[Event]:
        """Train: yield a `Step` after each update and an `Epoch` after each epoch; a save that is due comes first.

        `Samples` follow an epoch if a `sample_length` was given. Ends when the run is finished or its `max_time` is
        up. Raises `DivergedError` if a loss is no longer finite.
        """
        return self.events(Stop())

    def events(self, stop: Stop) -> Generator[Event, None, None]:
        """Yield the same events as iteration, and end after the step in which `stop` is requested.

        While `stop.at_once` is set, during validation and sampling, the signal interrupts them immediately.
        """
        state = self.state
        deadline = None if self.max_seconds is None else time.monotonic() + self.max_seconds
        saver, recorder = self._saver, Recorder(self._sinks, state, self.text, self.output or "", self.warn)
        if saver and state.step == 0:
            saver.snapshot(0)
        with self._kept(), recorder:
            try:
                progress = loop.train(state, *split(self.text.ids, state.config.val_split))
                for event in recorder.follow(_interruptible(progress, stop)):
                    if saver:
                        _save_if_due(saver, event)
                    yield event
                    if isinstance(event, Epoch) and self._samples_are_due(event):
                        yield self._samples(event, recorder, stop)
                    if deadline is not None and time.monotonic() > deadline:
                        stop.out_of_time = True
                    if stop.asked and event.step == state.step:  # several steps may arrive together
                        return
            except KeyboardInterrupt:
                if not stop.cut_short:
                    raise
            finally:
                stop.at_once = False  # from here on nothing is interrupted

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Context manager: save the run when the block ends, unless it diverged or stopped in the middle of a step."""
        try:
            yield
        except DivergedError as error:
            raise DivergedError(f"{error}; {self.saved_state_line()}" if self._saver else str(error)) from None
        except GeneratorExit:  # the caller left the loop, between two steps
            self.keep()
            raise
        self.keep()

    def _epochs_between_samples(self) -> int:
        epochs = epochs_in(self.state, setup.streams(self.text, self.state.config))
        return -(-epochs // _SAMPLES)

    def _samples_are_due(self, epoch: Epoch) -> bool:
        return self.sample_length > 0 and (epoch.epoch % self.sample_every == 0 or self.state.complete)

    def _samples(self, epoch: Epoch, recorder: Recorder, stop: Stop) -> Samples:
        prompt = self.prompt or samples.default_prompt(self.text)
        stop.at_once = True
        with self.around_samples():
            texts = samples.write(self.state, prompt, self.sample_length)
        stop.at_once = False
        recorder.samples(prompt, texts)
        return Samples(epoch.step, epoch.epoch, prompt, texts)

    def __repr__(self) -> str:
        state = self.state
        layers = ",".join(map(str, self.network.layers))
        losses = "" if self.best_loss is None else f", best validation loss {self.best_loss:.4f}"
        return f"<numlstm run: layers {layers}, step {state.step:,} of {state.config.steps:,}{losses}>"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{step:,}</td><td>{loss:.4f}</td><td>{'' if val is None else f'{val:.4f}'}</td></tr>"
            for step, loss, val in self.history
        )
        head = "<tr><th>step</th><th>loss</th><th>validation loss</th></tr>"
        return f"<p>{escape(repr(self).strip('<>'))}</p><table>{head}{rows}</table>"


def _interruptible(progress: Iterator[Progress], stop: Stop) -> Iterator[Progress]:
    """Yield a run's progress unchanged. A stop may interrupt validation, which the resumed run repeats."""
    for event in progress:
        stop.at_once = False  # an epoch's output, such as a snapshot, is only written once
        yield event
        stop.at_once = isinstance(event, Step) and event.last


def _save_if_due(saver: Saver, event: Progress) -> None:
    if isinstance(event, Epoch):
        if event.whole:
            saver.snapshot(event.epoch)
        saver.save()
    elif saver.due():
        saver.save()
