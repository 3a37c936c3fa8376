"""Which options make up a network and a run, which may change as a run goes on, and what is said of it.

Knows nothing about files or where options come from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError
from ...settings.amounts import parse_layers
from ...settings.network import NetworkSettings
from ...settings.training import OPTIMIZERS, TrainingSettings
from ...text.dataset.streams import AnyIds
from ...training.optimizers import FUSED
from ...training.state import Run, batches, steps_for

NETWORK = tuple(f.name for f in dataclasses.fields(NetworkSettings) if f.name not in ("vocab_size", "layers", "dtype"))
TRAINING = tuple(f.name for f in dataclasses.fields(TrainingSettings) if f.name != "steps")

TOKENS = {"level": "char", "vocab_size": None, "min_count": None, "pretokenised": False}  # what `Level` is made of

_FIXED = ("val_split", "seed")  # with another part kept back the validation loss would be of text that was trained on
KEPT = frozenset({*NETWORK, "layers", *TOKENS, *_FIXED})  # what a run that goes on cannot change

# What only some values of another option read.
_ONLY_WITH: dict[str, dict[str, tuple[str, ...]]] = {
    "schedule": {
        "lr_floor": ("cosine", "linear", "plateau"),
        "decay_steps": ("step",),
        "decay_rate": ("step",),
        "plateau_factor": ("plateau",),
        "plateau_patience": ("plateau",),
    },
    "batching": {"window_step": ("windows",), "steps_per_epoch": ("windows",), "reset_state": ("streams",)},
    "optimizer": {
        name: tuple(optimizer for optimizer, reads in OPTIMIZERS.items() if name in reads)
        for name in sorted(set().union(*OPTIMIZERS.values()))
    },
}

_HOW = {
    "batch_size": "the epoch goes on at the same share of the text, from a state of zeros; ",
    "batching": "the epoch goes on at the same share of the text, from a state of zeros; ",
    "seq_len": "goes on with the first token that was not read; ",
    "optimizer": "starts afresh; ",
}


def option(name: str) -> str:
    """Return a setting's name as it is written on the command line."""
    return "--" + name.replace("_", "-")


def check_used(config: TrainingSettings, given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if an option was given that does nothing with the others."""
    for of, names in _ONLY_WITH.items():
        for name, values in names.items():
            if name in given and getattr(config, of) not in values:
                found = f"{option(of)} {getattr(config, of)}"
                raise ConfigError(
                    f"{option(name)} does nothing with {found}; expected {option(of)} {' or '.join(values)}"
                )


def check_fixed(run: Run, given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if an option was given that differs from the run's and cannot change."""
    network, corpus = run.model.config, run.record["corpus"]
    is_now: dict[str, Any] = {name: getattr(network, name) for name in NETWORK}
    is_now |= {"layers": network.layers, "encoding": corpus["encoding"]}
    is_now |= {name: corpus.get(name, default) for name, default in TOKENS.items()}
    is_now |= {name: getattr(run.config, name) for name in _FIXED}
    for name, value in is_now.items():
        wanted = given.get(name, value)
        wanted = parse_layers(wanted) if isinstance(wanted, str) and name == "layers" else wanted
        if wanted != value:
            raise ConfigError(
                f"{option(name)} cannot change in a resumed run: it is {_shown(value)}, and {_shown(wanted)} was "
                "given; leave it out, or begin another run"
            )


def change_(run: Run, train_ids: AnyIds, given: Mapping[str, Any]) -> list[str]:
    """Change the run's settings to those given; return a line for each that differs from what it was."""
    was = run.config
    values = {name: given[name] for name in TRAINING if name in given}
    if values.get("optimizer", was.optimizer) != was.optimizer:
        values = {**OPTIMIZERS.get(values["optimizer"], {}), **values}
    config = dataclasses.replace(was, **values)
    check_used(config, given)
    run.change_(config, train_ids)
    steps = _steps(run, was, train_ids, given)
    run.config = dataclasses.replace(config, steps=steps)
    run.record["snapshot_epochs"] = given.get("snapshot_epochs", run.record.get("snapshot_epochs", []))
    lines = [_line(name, was, config) for name in values if getattr(was, name) != getattr(config, name)]
    if steps != was.steps:
        follows = config.schedule in ("cosine", "linear")
        rest = f": the learning rate follows, so not the same bits as one run of {steps:,}" if follows else ""
        lines.append(f"{steps:,} steps now, not {was.steps:,}{rest}")
    return lines


def _steps(run: Run, was: TrainingSettings, train_ids: AnyIds, given: Mapping[str, Any]) -> int:
    """Return how many updates the run has now; a number of epochs that was asked for before stays."""
    reader, before = batches(train_ids, run.config), batches(train_ids, was)
    if "steps" in given:
        run.record["epochs"] = None
        return max(int(given["steps"]), run.step)  # fewer than were made: it ends here
    whole = None if was.steps % before.steps_per_epoch else was.steps // before.steps_per_epoch
    epochs = given.get("epochs") or run.record.get("epochs", whole)
    same = (reader.size, run.config.seq_len) == (before.size, was.seq_len)
    if epochs is None or (same and "epochs" not in given):
        return was.steps
    run.record["epochs"] = epochs
    return steps_for(run, reader, epochs)


def _line(name: str, was: TrainingSettings, config: TrainingSettings) -> str:
    before, after = _shown(getattr(was, name)), _shown(getattr(config, name))
    line = f"{name.replace('_', '-')} was {before} and is {after} from here on"
    if name == "patience":
        return line
    kept = name == "optimizer" and {was.optimizer, config.optimizer} <= set(FUSED)
    cut = "batching" if name == "seq_len" and config.batching == "windows" else name
    return f"{line}: {'' if kept else _HOW.get(cut, '')}not the same bits as before"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if value is None:
        return "not set"
    return f"{value:g}" if isinstance(value, float) else str(value)
