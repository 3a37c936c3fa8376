"""Which settings a command has, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterable

from .declaration import Setting, declared, in_groups
from .network import NetworkSettings
from .run import RunSettings
from .text import TextSettings
from .training import TrainingSettings


def train_settings() -> tuple[Setting, ...]:
    """Return the settings of `numlstm train`, of `numlstm.train` and of a training job."""
    places = (TextSettings, NetworkSettings, RunSettings, TrainingSettings)
    return in_groups([each for place in places for each in declared(place)])


def named(settings: Iterable[Setting]) -> dict[str, Setting]:
    """Return settings by their names."""
    return {each.name: each for each in settings}
