"""What a run starts from: the text, the network, and settings that suit the text where none were given."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import BackendError, ConfigError, CorpusError, WeightsError
from ...model import Model
from ...network import weights_file
from ...network.parameters import count, initialise
from ...settings.amounts import parse_layers
from ...settings.network import NetworkSettings
from ...settings.text import TextSettings
from ...settings.training import OPTIMIZERS, TrainingSettings
from ...text.dataset.corpus import Corpus, load_corpus
from ...text.dataset.streams import Batches, split
from ...training.state import Run, batches, check_validation, epochs_in
from ..shared.options import stderr
from ..shared.reading_progress import reading
from . import changes

if TYPE_CHECKING:
    from ...backends.protocol import Backend
    from ...network.weights_file import WeightsFile

_GOAL = 4_000_000  # tokens that a run goes through if nobody says how many
_EPOCHS = (2, 40)  # the fewest and the most epochs for that
_RESET_STATE = 0.01  # with 0 some models write nothing but garbage after a beginning that they have never seen
_COPIES = 4  # of all parameters, at least: they and their gradients, and two arrays that Adam keeps
_WARMUP = 0.05  # the share of a run's steps in which the learning rate rises, up to `TrainingSettings.warmup_steps`


def load_text(given: Mapping[str, Any]) -> Corpus:
    """Read the text to train on.

    Raises `CorpusError` if it cannot be had or read, and `ConfigError` for an encoding of bytes.
    """
    corpus, encoding = given["corpus"], given.get("encoding")
    level = TextSettings(*(given.get(name, default) for name, default in changes.TOKENS.items()))
    if encoding is not None and level.level == "byte":
        raise ConfigError(
            f"--encoding is {encoding} with --level byte; expected only one of them: bytes are not decoded"
        )
    with reading() as report:
        return load_corpus(corpus, encoding=encoding or "utf-8", level=level, report=report)


def new_run(text: Corpus, backend: Backend, given: Mapping[str, Any]) -> Run:
    """Make a network for the text and a run that has not begun, with the options that were given.

    Raises `ConfigError` for settings out of range, `CorpusError` if the text is too short for them, `BackendError` if
    the device cannot compute with the precision and `WeightsError` if there are too many texts to be named in a file.
    """
    config = _train_config(text, given)
    check_validation(config, split(text.ids, config.val_split)[1])
    model_config = network(len(text.vocab), given)
    _check_fits(model_config)
    parameters = initialise(model_config, config.seed)
    model = Model(model_config, parameters, backend, vocab=text.vocab, precision=config.precision)
    run = Run.start(model, config)
    run.record["corpus"] = _corpus_record(text, given)
    run.record["epochs"] = None if "steps" in given else epochs_in(run, streams(text, config))
    run.record["snapshot_epochs"] = given.get("snapshot_epochs", [])
    weights_file.check_meta(run.to_file())
    return run


def resumed_run(path: str, backend: Backend, given: Mapping[str, Any]) -> tuple[Corpus, Run]:
    """Read a run and its text again, the text from where it was unless another place is given.

    Settings that are given and differ from the run's change from here on, and the user is told. Raises `WeightsError`
    if the file holds no run, `CorpusError` if the text is gone or is another, `ConfigError` for settings that belong
    to the run and cannot change, and `BackendError` if the device cannot compute with the run's precision.
    """
    sources = given.get("corpus") or None
    file = weights_file.load(path)
    run = _resumed(file, backend, given.get("precision"))
    was = run.record.get("corpus")
    if was is None:
        raise WeightsError(
            f"{path} does not say what text it was trained on; expected a file that `numlstm train` wrote"
        )
    changes.check_fixed(run, given)
    if sources is None and "-" in was["sources"]:
        raise CorpusError("the run's text came from standard input; expected it again: add - and pipe it in")
    try:
        with reading() as report:
            text = load_corpus(sources or was["sources"], encoding=was["encoding"], vocab=file.vocab, report=report)
    except CorpusError as error:
        found, advice, _ = str(error).partition("; use --drop-unknown")
        if not advice:
            raise
        raise CorpusError(
            f"the text has changed, or is not that of the run in {path}: {found}; expected the same text, or for a new "
            "run another file: use -o"
        ) from None
    if text.digest != was["digest"]:
        raise CorpusError(
            f"the text has changed: it has {len(text.ids):,} {text.vocab.unit}s and another checksum than the run's "
            f"{was['characters']:,} in {path}; expected the same text, or for a new run another file: use -o"
        )
    train_ids, val_ids = split(text.ids, run.config.val_split)
    for line in changes.change_(run, train_ids, given):
        stderr().print(line, markup=False)
    check_validation(run.config, val_ids)
    return text, run


def _resumed(file: WeightsFile, backend: Backend, precision: str | None) -> Run:
    try:
        run = Run.resume(file, backend, precision=precision)
    except BackendError as error:
        if precision is not None:
            raise
        raise BackendError(
            f"{error}: add --precision float32 to go on with this run, though no longer to the same bits"
        ) from None
    was = file.state.config.precision if file.state else run.config.precision
    if run.config.precision != was:
        stderr().print(f"precision was {was} and is {run.config.precision} from here on: not the same bits as before")
    return run


def streams(text: Corpus, config: TrainingSettings) -> Batches:
    """Return the training part of the text as the run reads it."""
    return batches(split(text.ids, config.val_split)[0], config)


def network(vocab_size: int, given: Mapping[str, Any]) -> NetworkSettings:
    """Return the network that the options ask for; weights that are tied choose the embedding's size."""
    shape = {name: given[name] for name in changes.NETWORK if name in given}
    shape["layers"] = parse_layers(given.get("layers", "128,128"))
    if shape.get("tie_weights") and "embedding" not in shape:
        shape["embedding"] = shape.get("projection") or shape["layers"][-1]
    return NetworkSettings(vocab_size, **shape)


def _check_fits(config: NetworkSettings) -> None:
    """Raise `ConfigError` for a network that this machine has no room for: the system would end the process unsaid."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has none, which itself refuses what does not fit
        return
    size = count(config)
    needed = _COPIES * size * (4 if config.dtype == "float32" else 8)
    if needed > there:
        raise ConfigError(
            f"the network has {size:,} parameters, which take {needed / 1e9:,.0f} GB to train, and this machine has "
            f"{there / 1e9:,.0f} GB of memory; lower --layers"
        )


def _train_config(text: Corpus, given: Mapping[str, Any]) -> TrainingSettings:
    epochs, steps = given.get("epochs"), given.get("steps")
    settings = {"reset_state": _RESET_STATE if given.get("batching", "streams") == "streams" else 0.0}
    settings |= {name: given[name] for name in changes.TRAINING if name in given}
    draft = TrainingSettings(steps=0, **{**OPTIMIZERS.get(given.get("optimizer", "adam"), {}), **settings})
    changes.check_used(draft, given)
    per_epoch = streams(text, draft).steps_per_epoch
    if steps is None:
        fewest, most = _EPOCHS
        windows = draft.batching == "windows"  # of which an epoch may hold a part of the text, or all of it many times
        tokens = per_epoch * draft.batch_size * draft.seq_len if windows else len(text.ids)
        steps = per_epoch * (epochs or min(max(-(-_GOAL // tokens), fewest), most))
    warmup = given.get("warmup_steps", min(draft.warmup_steps, int(_WARMUP * steps)))
    return dataclasses.replace(draft, steps=steps, warmup_steps=warmup)


def _corpus_record(text: Corpus, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sources": list(text.sources),
        "encoding": text.encoding,
        "digest": text.digest,
        "characters": len(text.ids),
        **{name: given.get(name, default) for name, default in changes.TOKENS.items()},
    }
