"""Resume a run from its file: which settings may change, and the notes about each change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..backends.protocol import Backend
from ..errors import BackendError, ConfigError, CorpusError, WeightsError
from ..network import weights_file
from ..network.weights_file import WeightsFile
from ..settings.commands import Options
from ..settings.declaration import format_value
from ..settings.precision import AUTO
from ..settings.training import OPTIMIZERS, TrainingSettings
from ..text.dataset.corpus import IN_MEMORY, Corpus, load_corpus
from ..text.dataset.encode import Report
from ..text.dataset.streams import AnyIds, split
from ..text.sources.find import Source
from ..text.vocab.base import Vocab
from .optimizers import FUSED
from .record import CorpusRecord
from .setup import NETWORK, TOKENS, TRAINING, check_used
from .state import TrainingState, batches, check_validation, steps_for

_FIXED = ("val_split", "seed")  # with another part held out, the validation loss would cover text that was trained on

_CONSEQUENCES = {
    "batch_size": "the epoch continues at the same share of the text, with a zero state; ",
    "batching": "the epoch continues at the same share of the text, with a zero state; ",
    "seq_len": "continues with the first unread token; ",
    "optimizer": "starts afresh; ",
}


def resumed_run(
    path: str,
    backend: Backend,
    options: Options,
    sources: Sequence[str | Source] = (),
    report: Report | None = None,
) -> tuple[Corpus, TrainingState, list[str]]:
    """Load a run and read its text again, from its original sources unless other `sources` are given.

    Given settings that differ from the run's apply from here on; the third value has a line for each. Raises
    `WeightsError` if the file holds no run, `CorpusError` if the text is missing or different, `ConfigError` for
    settings that cannot change, and `BackendError` if the device does not support the run's precision.
    """
    file = weights_file.load(path)
    if options.get("precision") == AUTO:  # the run's own
        options = {name: value for name, value in options.items() if name != "precision"}
    run, notes = _resumed(file, backend, options.get("precision"))
    was = run.record.corpus
    if was is None:
        raise WeightsError(f"{path} does not say what text it was trained on; expected a file that training wrote")
    check_fixed(run, was, options)
    text = _reload_text(path, file.vocab, was, sources, report)
    train_ids, val_ids = split(text.ids, run.config.val_split)
    notes += change_(run, train_ids, options)
    check_validation(run.config, val_ids)
    return text, run, notes


def _reload_text(
    path: str, vocab: Vocab, was: CorpusRecord, sources: Sequence[str | Source], report: Report | None
) -> Corpus:
    if not sources and "-" in was.sources:
        raise CorpusError("the run's text came from standard input; expected the same text: add - and pipe it in")
    if not sources and IN_MEMORY in was.sources:
        raise CorpusError("the run's text was not a file; expected the same text: pass it as `text`")
    try:
        text = load_corpus(sources or was.sources, encoding=was.encoding, vocab=vocab, report=report)
    except CorpusError as error:
        found, advice, _ = str(error).partition("; use `drop_unknown`")
        if not advice:
            raise
        raise CorpusError(
            f"the text has changed, or is not that of the run in {path}: {found}; expected the same text, or another "
            "`output` for a new run"
        ) from None
    if text.digest != was.digest:
        raise CorpusError(
            f"the text has changed: it has {len(text.ids):,} {text.vocab.unit}s, that of the run in {path} had "
            f"{was.characters:,}, and their checksums differ; expected the same text, or another `output` for a new run"
        )
    return text


def _resumed(file: WeightsFile, backend: Backend, precision: str | None) -> tuple[TrainingState, list[str]]:
    try:
        run = TrainingState.resume(file, backend, precision=precision)
    except BackendError as error:
        if precision is not None:
            raise
        raise BackendError(
            f"{str(error).removesuffix('; use float32')}; use `precision` float32 to continue this run: the result "
            "will differ slightly"
        ) from None
    was = file.state.config.precision if file.state else run.config.precision
    if run.config.precision == was:
        return run, []
    return run, [f"precision was {was} and is now {run.config.precision}: the result will differ from an unchanged run"]


def check_fixed(run: TrainingState, corpus: CorpusRecord, options: Options) -> None:
    """Raise `ConfigError` if a given option differs from the run's and cannot change."""
    network = run.model.config
    is_now: dict[str, Any] = {name: getattr(network, name) for name in NETWORK}
    is_now |= {"encoding": corpus.encoding}
    is_now |= {name: getattr(corpus.level, name) for name in TOKENS}
    is_now |= {name: getattr(run.config, name) for name in _FIXED}
    for name, value in is_now.items():
        wanted = options.get(name, value)
        if wanted != value:
            raise ConfigError(
                f"`{name}` cannot change in a resumed run: it is {format_value(value)}, and {format_value(wanted)} was "
                "given; leave it out, or start a new run"
            )


def change_(run: TrainingState, train_ids: AnyIds, options: Options) -> list[str]:
    """Change the run's settings to those given; return a line for each one that changed."""
    was = run.config
    values = {name: options[name] for name in TRAINING if name in options}
    if values.get("optimizer", was.optimizer) != was.optimizer:
        values = {**OPTIMIZERS.get(values["optimizer"], {}), **values}
    config = dataclasses.replace(was, **values)
    check_used(config, options)
    run.change_(config, train_ids)
    steps = _steps(run, was, train_ids, options)
    run.config = dataclasses.replace(config, steps=steps)
    run.record.snapshot_epochs = tuple(options.get("snapshot_epochs", run.record.snapshot_epochs))
    lines = [_line(name, was, config) for name in values if getattr(was, name) != getattr(config, name)]
    if steps != was.steps:
        follows = config.schedule in ("cosine", "linear")
        change = "shortened" if steps < was.steps else "extended"
        rest = f"; the learning rate follows, so the result will differ from one run of {steps:,}" if follows else ""
        lines.append(f"the run is {change} from {was.steps:,} to {steps:,} steps{rest}")
    return lines


def _steps(run: TrainingState, was: TrainingSettings, train_ids: AnyIds, options: Options) -> int:
    """Return the run's new total of updates; a number of epochs that was requested before still applies."""
    reader, before = batches(train_ids, run.config), batches(train_ids, was)
    if "steps" in options:
        run.record.epochs = None
        return max(int(options["steps"]), run.step)  # if more were made already, the run ends here
    epochs = options.get("epochs") or run.record.epochs
    same = (reader.size, run.config.seq_len) == (before.size, was.seq_len)
    if epochs is None or (same and "epochs" not in options):
        return was.steps
    run.record.epochs = epochs
    return steps_for(run, reader, epochs)


def _line(name: str, was: TrainingSettings, config: TrainingSettings) -> str:
    before, after = format_value(getattr(was, name)), format_value(getattr(config, name))
    line = f"{name.replace('_', '-')} was {before} and is now {after}"
    if name == "patience":
        return line
    kept = name == "optimizer" and {was.optimizer, config.optimizer} <= set(FUSED)
    cut = "batching" if name == "seq_len" and config.batching == "windows" else name
    return f"{line}: {'' if kept else _CONSEQUENCES.get(cut, '')}the result will differ from an unchanged run"
