"""`train`, `new_run` and `resume_run`: train from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import registry
from ..errors import ConfigError
from ..model import Model
from ..network import weights_file
from ..settings.commands import Options, checked, with_settings_in_help
from ..text.dataset.corpus import in_memory
from ..text.dataset.encode import Report
from ..text.sources.find import Source
from . import samples, setup
from .checkpoint import check_snapshots
from .progress import with_progress_bar
from .recording import open_sinks
from .resume import resumed_run
from .run import Run
from .stopping import stop_asked

_OVERWRITE_ADVICE = (
    " and may hold hours of work; use overwrite=True to replace it, numlstm.resume_run to continue it, or choose "
    "another `output`"
)

Sources = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@with_settings_in_help
def train(
    corpus: Sources | None = None,
    *,
    text: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Model:
    """Train a model on a text and return it, with the parameters of the lowest validation loss.

    >>> model = numlstm.train("corpus.txt", layers=(32, 32), epochs=2, output="weights.npz")
    >>> text = model.generate("Day ", length=200)

    `corpus` is a file, folder, glob, URL or the name of a corpus, or a list of them; `text` is the text itself. A
    progress bar appears on a terminal and in a notebook; `progress=False` turns it off. Ctrl-C stops training after
    the current step; with `output` the run is saved first.

    Raises `ConfigError` for a setting that does not exist or is out of range, `CorpusError` for a text that cannot be
    read, `BackendError` for a device that does not work, `StorageError` for an output that cannot be written, and
    `DivergedError` if the loss is no longer finite.
    """
    run = new_run(corpus, text=text, **settings)
    with stop_asked() as stop:
        for _ in with_progress_bar(run, run.events(stop), progress):
            pass
    if stop.by_user:
        raise KeyboardInterrupt
    return run.best_model()


@with_settings_in_help
def new_run(
    corpus: Sources | None = None, *, text: str | None = None, report: Report | None = None, **settings: Any
) -> Run:
    """Create a training run on a text. Iterate over it to train.

    >>> run = numlstm.new_run(text="Once upon a time. " * 99, layers=16, batch_size=4, seq_len=16, epochs=2, seed=0)
    >>> for event in run:
    ...     if isinstance(event, numlstm.Epoch):
    ...         print(f"epoch {event.epoch}: {event.val_loss:.1f} nats per character")
    epoch 1: ... nats per character
    epoch 2: ... nats per character

    `corpus`, `text` and settings are those of `train`. Without `output` nothing is saved, and without `sample_length`
    no samples are written. `report` is called with the progress of reading the text. Raises as `train` does.
    """
    options = _checked(settings)
    sources = _sources(corpus, text)
    if not sources:
        raise ConfigError("no text was given; expected `corpus`, a path or the name of a corpus, or `text`")
    _check_outputs(options, options.get("snapshot_epochs", []), options.get("overwrite", False))
    sinks = open_sinks(options.get("log"), options.get("tensorboard"))
    found = setup.read_text(sources, options, report)
    samples.check_prompt(options.get("prompt", ""), found)
    return Run(found, setup.new_run(found, _backend(options), options), options, sinks=sinks)


@with_settings_in_help
def resume_run(
    path: str | os.PathLike[str],
    corpus: Sources | None = None,
    *,
    text: str | None = None,
    report: Report | None = None,
    **settings: Any,
) -> Run:
    """Resume the run in a weights file, bit for bit as if it had never stopped, unless settings change.

    >>> model = numlstm.train("corpus.txt", layers=16, epochs=1, output="half.npz")
    >>> run = numlstm.resume_run("half.npz", epochs=2)
    >>> losses = [event.loss for event in run]

    The text is read again from its original source, unless `corpus` or `text` is given. `epochs` and `steps` are
    totals. The network's settings cannot change; those of training and the optimizer can. The run is saved to `path`
    unless `output` names another file. Raises as `train` does, and `WeightsError` if the file holds no run.
    """
    options = {"output": os.fspath(path), **_checked(settings)}
    own = options["output"] == os.fspath(path)
    sinks = open_sinks(options.get("log"), options.get("tensorboard"))
    found, state, notes = resumed_run(os.fspath(path), _backend(options), options, _sources(corpus, text), report)
    samples.check_prompt(options.get("prompt", ""), found)
    _check_outputs(options, state.record.snapshot_epochs, own or options.get("overwrite", False))
    return Run(found, state, options, notes=notes, sinks=sinks)


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    if "resume" in settings:
        raise ConfigError("there is no setting 'resume' here; call resume_run to resume a run")
    options = {name: value for name, value in settings.items() if value is not None}
    for name in ("max_time", "save_every"):  # numbers are seconds
        if isinstance(options.get(name), (int, float)):
            options[name] = f"{options[name]}s"
    if "output" in options:
        options["output"] = os.fspath(options["output"])
    return checked(options)


def _sources(corpus: Sources | None, text: str | None) -> list[str | Source]:
    if corpus is not None and text is not None:
        raise ConfigError("give either `corpus` or `text`, not both")
    if text is not None:
        return [in_memory(text)]
    if corpus is None:
        return []
    several = [corpus] if isinstance(corpus, (str, os.PathLike)) else corpus
    return [os.fspath(each) for each in several]


def _check_outputs(options: Options, snapshots: Sequence[int], overwrite: bool) -> None:
    if output := options.get("output"):
        weights_file.check_output(output, overwrite=overwrite, advice=_OVERWRITE_ADVICE)
        check_snapshots(output, snapshots, overwrite=overwrite)


def _backend(options: Options) -> Any:
    backend = registry.load(options.get("device", "auto"))
    backend.set_threads(options.get("threads"))
    return backend
