"""A training run: what yields its steps and epochs, saves it, logs it and writes with its model."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from ..backends import registry
from ..errors import ConfigError, DivergedError
from ..model import Model
from ..network import weights_file
from ..settings.amounts import Every, parse_duration, parse_every
from ..settings.commands import Given, checked
from ..settings.network import NetworkSettings
from ..settings.run import RunSettings
from ..settings.training import TrainingSettings
from ..text.dataset.corpus import Corpus, in_memory
from ..text.dataset.encode import Report
from ..text.dataset.streams import split
from ..text.sources.find import Source
from . import loop, samples, setup
from .checkpoint import Saver, check_snapshots
from .loop import Epoch, Progress, Step
from .progress import shown
from .record import EpochResult
from .recording import Recorder, Sink, open_sinks
from .resume import resumed_run
from .samples import Samples
from .state import TrainingState
from .stopping import Stop, stop_asked

Sources = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Event = Progress | Samples


class Run:
    """A training run, which is made by `new_run` and `resume_run`. Iterate over it to train.

        run = numlstm.new_run(text="Once upon a time ...", layers=(128,), epochs=3)
        for event in run:  # a Step after each update, an Epoch after each epoch
            print(event.step, event.loss)
        run.save("weights.npz")
        print(run.model.generate("Once "))

    A loop may be left at any time; another one goes on where it was left. With `output` the run is saved there now and
    then, and at the loop's end. `text` is what it is trained on, `notes` what changed as it was resumed.
    """

    def __init__(
        self,
        text: Corpus,
        state: TrainingState,
        given: Given,
        *,
        notes: Sequence[str] = (),
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.text, self.state, self.notes = text, state, tuple(notes)
        self.output: str | None = given.get("output")
        self.max_seconds = parse_duration("`max_time`", given["max_time"]) if "max_time" in given else None
        self._sinks = sinks
        every = parse_every("`save_every`", given["save_every"]) if "save_every" in given else Every()
        self._saver = Saver(state, self.output, every, lambda line: self.warn(line)) if self.output else None
        self.prompt: str | None = given.get("prompt")
        self.sample_length: int = given.get("sample_length", 0)
        self.sample_every: int = given.get("sample_every", RunSettings.sample_every)
        self.warn: Callable[[str], None] = warnings.warn  # told what failed and does not end the run
        self.around_samples: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    @property
    def model(self) -> Model:
        """The model as it is now: with the averaged weights, if there are such. Training goes on changing it."""
        return self.state.judged()

    @property
    def network(self) -> NetworkSettings:
        """The settings of the network."""
        return self.state.model.config

    @property
    def settings(self) -> TrainingSettings:
        """The settings of the training."""
        return self.state.config

    @property
    def step(self) -> int:
        """How many updates were made."""
        return self.state.step

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.state.complete

    @property
    def history(self) -> list[EpochResult]:
        """For each epoch the step at its end, its loss and the validation loss, in nats per token."""
        return list(self.state.record.history)

    @property
    def best_loss(self) -> float | None:
        """The lowest validation loss so far, in nats per token."""
        return self.state.record.best_loss

    def best_model(self) -> Model:
        """Return the model of the lowest validation loss so far, or of the last step where nothing was validated."""
        file = self.state.to_file()
        return Model(file.config, file.params, self.state.model.backend, vocab=file.vocab)

    def save(self, path: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> None:
        """Save the run: the best parameters, and all that is needed to go on with it to the same bits.

        To `output` if no path is given. Raises `StorageError` if that cannot be written, and for another file that
        is there already unless `overwrite`.
        """
        if path is None and self.output is None:
            raise ConfigError("there is no place to save the run to; expected a path")
        if path is not None and os.fspath(path) != self.output:
            weights_file.check_output(os.fspath(path), overwrite=overwrite)
        weights_file.save(os.fspath(path or self.output or ""), self.state.to_file())

    def keep(self) -> None:
        """Save the run to `output`, if there is anything new: where that fails, to the folder for temporary files.

        Raises `StorageError` that says where it is then.
        """
        if self._saver:
            self._saver.save_or_rescue()

    def what_is_kept(self) -> str:
        """Return which step the file holds, in a few words."""
        return self._saver.what_is_kept() if self._saver else "nothing is saved"

    def __iter__(self) -> Iterator[Event]:
        """Train, and yield a `Step` after each update and an `Epoch` after each epoch, already saved if it is due.

        After an epoch come `Samples`, if a `sample_length` was given. Ends when the run is finished or its `max_time`
        is up. Raises `DivergedError` if a loss is no longer finite.
        """
        return self.events(Stop())

    def events(self, stop: Stop) -> Generator[Event, None, None]:
        """Yield what iterating yields, and end after the step in which `stop` is asked for.

        Validation and samples are cut short where the signal that asks comes in the middle of them; so `stop.at_once`
        says.
        """
        state = self.state
        deadline = None if self.max_seconds is None else time.monotonic() + self.max_seconds
        saver, recorder = self._saver, Recorder(self._sinks, state, self.text, self.output or "", self.warn)
        if saver and state.step == 0:
            saver.snapshot(0)
        with self._kept(), recorder:
            try:
                progress = loop.train(state, *split(self.text.ids, state.config.val_split))
                for event in recorder.follow(_heeded(progress, stop)):
                    if saver:
                        _save_if_due(saver, event)
                    yield event
                    if isinstance(event, Epoch) and self._samples_are_due(event):
                        yield self._samples(event, recorder, stop)
                    if deadline is not None and time.monotonic() > deadline:
                        stop.out_of_time = True
                    if stop.asked and event.step == state.step:  # several steps may come together
                        return
            except KeyboardInterrupt:
                if not stop.cut_short:
                    raise
            finally:
                stop.at_once = False  # what is done from here on is done whole

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Save the run when the block ends, unless it is broken or in the middle of a step."""
        try:
            yield
        except DivergedError as error:
            raise DivergedError(f"{error}; {self.what_is_kept()}" if self._saver else str(error)) from None
        except GeneratorExit:  # the loop was left, between two steps
            self.keep()
            raise
        self.keep()

    def _samples_are_due(self, epoch: Epoch) -> bool:
        return self.sample_length > 0 and (epoch.epoch % self.sample_every == 0 or self.state.complete)

    def _samples(self, epoch: Epoch, recorder: Recorder, stop: Stop) -> Samples:
        prompt = self.prompt or samples.a_line_of(self.text)
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


def _heeded(progress: Iterator[Progress], stop: Stop) -> Iterator[Progress]:
    """Pass on what a run yields; validation, which a later run can make up for, may be stopped in the middle."""
    for event in progress:
        stop.at_once = False  # what comes of an epoch, such as a snapshot, is made once
        yield event
        stop.at_once = isinstance(event, Step) and event.last


def _save_if_due(saver: Saver, event: Progress) -> None:
    if isinstance(event, Epoch):
        if event.whole:
            saver.snapshot(event.epoch)
        saver.save()
    elif saver.due():
        saver.save()


def new_run(
    corpus: Sources | None = None, *, text: str | None = None, report: Report | None = None, **settings: Any
) -> Run:
    """Make a training run on a text: files, folders, globs, URLs, names of corpora, or `text` itself.

    Settings are those of `numlstm train`, by the same names: `layers=(128, 128)`, `epochs=8`, `lr=0.01`,
    `device="cpu"`, `output="weights.npz"`. Without `output` nothing is saved. Raises `ConfigError` for a setting that
    there is not or that is out of range, `CorpusError` for a text that cannot be read, `BackendError` for a device that
    does not work and `StorageError` for an output that cannot be written.
    """
    given = _checked(settings)
    sources = _sources(corpus, text)
    if not sources:
        raise ConfigError("no text was given; expected `corpus`, a path or the name of a corpus, or `text`")
    _check_outputs(given, given.get("snapshot_epochs", []), given.get("overwrite", False))
    sinks = open_sinks(given.get("log"), given.get("tensorboard"))
    found = setup.read_text(sources, given, report)
    samples.check_prompt(given.get("prompt", ""), found)
    return Run(found, setup.new_run(found, _backend(given), given), given, sinks=sinks)


def resume_run(
    path: str | os.PathLike[str],
    corpus: Sources | None = None,
    *,
    text: str | None = None,
    report: Report | None = None,
    **settings: Any,
) -> Run:
    """Go on with the run in a weights file, to the same bits as if it had never stopped, unless settings change.

    Its text is read again from where it was, or as `corpus` or `text` say. `epochs` and `steps` mean the total; what
    else may change is what `numlstm train --resume` lets change. The run is saved to `output`, which is `path` if none
    is given. Raises as `new_run` does, and `WeightsError` if the file holds no run.
    """
    given = {"output": os.fspath(path), **_checked(settings)}
    own = given["output"] == os.fspath(path)
    sinks = open_sinks(given.get("log"), given.get("tensorboard"))
    found, state, notes = resumed_run(os.fspath(path), _backend(given), given, _sources(corpus, text), report)
    samples.check_prompt(given.get("prompt", ""), found)
    _check_outputs(given, state.record.snapshot_epochs, own or given.get("overwrite", False))
    return Run(found, state, given, notes=notes, sinks=sinks)


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    if "resume" in settings:
        raise ConfigError("there is no setting 'resume' here; expected resume_run, which goes on with a run")
    given = {name: value for name, value in settings.items() if value is not None}
    for name in ("max_time", "save_every"):  # numbers are seconds
        if isinstance(given.get(name), (int, float)):
            given[name] = f"{given[name]}s"
    if "output" in given:
        given["output"] = os.fspath(given["output"])
    return checked(given)


def _sources(corpus: Sources | None, text: str | None) -> list[str | Source]:
    if corpus is not None and text is not None:
        raise ConfigError("both `corpus` and `text` were given; expected one of them")
    if text is not None:
        return [in_memory(text)]
    if corpus is None:
        return []
    several = [corpus] if isinstance(corpus, (str, os.PathLike)) else corpus
    return [os.fspath(each) for each in several]


def _check_outputs(given: Given, snapshots: Sequence[int], overwrite: bool) -> None:
    if output := given.get("output"):
        weights_file.check_output(output, overwrite=overwrite)
        check_snapshots(output, snapshots, overwrite=overwrite)


def _backend(given: Given) -> Any:
    backend = registry.load(given.get("device", "auto"))
    backend.set_threads(given.get("threads"))
    return backend


def train(
    corpus: Sources | None = None,
    *,
    text: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Model:
    """Train a model on a text and return it, with the best parameters that validation found.

        model = numlstm.train("corpus.txt", layers=(128, 128), epochs=8, output="weights.npz")
        print(model.generate("Once ", length=200))

    Text and settings are those of `new_run`. On a terminal and in a notebook a line shows how far it is; `progress`
    False turns that off. Ctrl-C ends the training after the step under way, and with `output` the run is saved. Raises
    as `new_run` does, and `DivergedError` if the loss is no longer a finite number.
    """
    run = new_run(corpus, text=text, **settings)
    with stop_asked() as stop:
        for _ in shown(run, run.events(stop), progress):
            pass
    if stop.by_user:
        raise KeyboardInterrupt
    return run.best_model()
