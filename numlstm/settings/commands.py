"""Which settings a command has, in the order in which they are shown, and the check of those that were given."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigError
from .amounts import parse_epochs, parse_layers
from .declaration import Setting, declared, in_groups
from .network import NetworkSettings
from .run import RunSettings
from .text import TextSettings
from .training import TrainingSettings

Given = Mapping[str, Any]  # settings by name, only those that were given


def train_settings() -> tuple[Setting, ...]:
    """Return the settings of `numlstm train`, of `numlstm.train` and of a training job."""
    places = (TextSettings, NetworkSettings, RunSettings, TrainingSettings)
    return in_groups([each for place in places for each in declared(place)])


def named(settings: Iterable[Setting]) -> dict[str, Setting]:
    """Return settings by their names."""
    return {each.name: each for each in settings}


def checked(given: Given) -> dict[str, Any]:
    """Return settings that were given, each as its own type: "128,128" as (128, 128).

    Raises `ConfigError` for a name that there is not, a value out of range, or two that contradict each other.
    """
    known = named(train_settings())
    found = dict(given)
    for name, value in found.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise ConfigError(f"there is no setting {name!r}; expected {close[0] if close else ', '.join(known)}")
        if known[name].kind == "sizes":
            found[name] = parse_layers(value) if isinstance(value, str) else _sizes(value)
        known[name].check(found[name])
    if "snapshot_epochs" in found:
        found["snapshot_epochs"] = parse_epochs("`snapshot_epochs`", found["snapshot_epochs"])
    if "epochs" in found and "steps" in found:
        raise ConfigError("both `epochs` and `steps` were given; expected one of them")
    return found


def _sizes(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    return tuple(value) if isinstance(value, list) else value
