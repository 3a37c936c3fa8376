"""Set up a new run: read the text, build the network, and choose the settings that were not given to suit the text.

`options` is a dict of the settings that were given, by the names declared in `settings/`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from ..backends.protocol import Backend
from ..errors import ConfigError
from ..model import Model
from ..network import weights_file
from ..network.parameters import count, initialise
from ..settings.commands import Options
from ..settings.declaration import declared
from ..settings.network import NetworkSettings
from ..settings.precision import AUTO
from ..settings.text import TextSettings
from ..settings.training import OPTIMIZERS, RESET_STATE, TrainingSettings
from ..text.dataset.corpus import Corpus, load_corpus
from ..text.dataset.encode import Report
from ..text.dataset.streams import Batches, split
from ..text.sources.find import Source
from . import precision_choice
from .record import CorpusRecord
from .state import TrainingState, batches, check_validation, epochs_in

NETWORK = tuple(each.name for each in declared(NetworkSettings) if each.group)
TOKENS = tuple(each.name for each in declared(TextSettings))
TRAINING = tuple(each.name for each in declared(TrainingSettings) if each.name != "steps")

_GOAL = 4_000_000  # tokens to train on if neither epochs nor steps are given
_EPOCHS = (2, 40)  # the fewest and most epochs to reach it
_COPIES = 4  # of all parameters, at least: themselves, their gradients, and Adam's two slots
_WARMUP = 0.05  # fraction of a run's steps for the warmup, up to `TrainingSettings.warmup_steps`


def read_text(sources: Sequence[str | Source], options: Options, report: Report | None = None) -> Corpus:
    """Read the training text; `report` is called with the progress.

    Raises `CorpusError` if it cannot be found or read, and `ConfigError` for an encoding with `level` byte.
    """
    encoding = options.get("encoding")
    level = _level(options)
    if encoding is not None and level.level == "byte":
        raise ConfigError(
            f"`encoding` is {encoding} with `level` byte; expected only one of them: bytes are not decoded"
        )
    return load_corpus(sources, encoding=encoding or "utf-8", level=level, report=report)


def new_run(text: Corpus, backend: Backend, options: Options) -> TrainingState:
    """Create a network for the text, and a run at step 0, with the given settings.

    Raises `ConfigError` for settings out of range, `CorpusError` if the text is too short for them, `BackendError` if
    the device does not support the precision and `WeightsError` if there are too many texts to name in a file.
    """
    config = _training_settings(text, options)
    check_validation(config, split(text.ids, config.val_split)[1])
    shape = network_settings(len(text.vocab), options)
    _check_fits(shape)
    parameters = initialise(shape, config.seed)
    if config.precision == AUTO:
        found = precision_choice.fastest(shape, parameters, backend, config, split(text.ids, config.val_split)[0])
        config = dataclasses.replace(config, precision=found)
    model = Model(shape, parameters, backend, vocab=text.vocab, precision=config.precision)
    run = TrainingState.start(model, config)
    run.record.corpus = CorpusRecord(text.sources, text.encoding, text.digest, len(text.ids), _level(options))
    run.record.epochs = None if "steps" in options else epochs_in(run, streams(text, config))
    run.record.snapshot_epochs = tuple(options.get("snapshot_epochs", ()))
    weights_file.check_meta(run.to_file())
    return run


def streams(text: Corpus, config: TrainingSettings) -> Batches:
    """Return the training part of the text, cut into the run's batches."""
    return batches(split(text.ids, config.val_split)[0], config)


def network_settings(vocab_size: int, options: Options) -> NetworkSettings:
    """Return the network's settings; tied weights determine the embedding's size."""
    shape = {name: options[name] for name in NETWORK if name in options}
    if shape.get("tie_weights") and "embedding" not in shape:
        layers = shape.get("layers", NetworkSettings.layers)
        shape["embedding"] = shape.get("projection") or layers[-1]
    return NetworkSettings(vocab_size, **shape)


def check_used(config: TrainingSettings, options: Options) -> None:
    """Raise `ConfigError` if a given setting has no effect in combination with the others."""
    for each in declared(TrainingSettings):
        if each.only_with is None or each.name not in options:
            continue
        other, values = each.only_with
        now = getattr(config, other)
        if now not in values:
            raise ConfigError(
                f"`{each.name}` does nothing with `{other}` {now}; expected `{other}` {' or '.join(values)}"
            )


def _check_fits(shape: NetworkSettings) -> None:
    """Raise `ConfigError` if the network does not fit in memory: the system would silently kill the process."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows lacks sysconf, and refuses allocations that do not fit
        return
    size = count(shape)
    needed = _COPIES * size * (4 if shape.dtype == "float32" else 8)
    if needed > there:
        raise ConfigError(
            f"the network has {size:,} parameters, which take {needed / 1e9:,.0f} GB to train, and this machine has "
            f"{there / 1e9:,.0f} GB of memory; lower `layers`"
        )


def _training_settings(text: Corpus, options: Options) -> TrainingSettings:
    epochs, steps = options.get("epochs"), options.get("steps")
    settings = {"reset_state": RESET_STATE if options.get("batching", "streams") == "streams" else 0.0}
    settings |= {name: options[name] for name in TRAINING if name in options}
    preliminary = TrainingSettings(steps=0, **{**OPTIMIZERS.get(options.get("optimizer", "adam"), {}), **settings})
    check_used(preliminary, options)
    per_epoch = streams(text, preliminary).steps_per_epoch
    if steps is None:
        fewest, most = _EPOCHS
        windows = preliminary.batching == "windows"  # an epoch may then cover part of the text, or all of it many times
        tokens = per_epoch * preliminary.batch_size * preliminary.seq_len if windows else len(text.ids)
        steps = per_epoch * (epochs or min(max(-(-_GOAL // tokens), fewest), most))
    warmup = options.get("warmup_steps", min(preliminary.warmup_steps, int(_WARMUP * steps)))
    return dataclasses.replace(preliminary, steps=steps, warmup_steps=warmup)


def _level(options: Options) -> TextSettings:
    return TextSettings(**{name: options[name] for name in TOKENS if name in options})
