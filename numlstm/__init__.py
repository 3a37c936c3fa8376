"""numlstm: train an LSTM on your own text and write new text like it, on the machine you have.

    model = numlstm.train("corpus.txt", layers=(128, 128), epochs=8, output="weights.npz")
    model = numlstm.load("weights.npz")
    print(model.generate("ROMEO:", length=200, temperature=0.6))

Public names are imported on first use, so `import numlstm` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .errors import BackendError as BackendError
    from .errors import ConfigError as ConfigError
    from .errors import CorpusError as CorpusError
    from .errors import DivergedError as DivergedError
    from .errors import LogError as LogError
    from .errors import NumlstmError as NumlstmError
    from .errors import StorageError as StorageError
    from .errors import WeightsError as WeightsError
    from .model import Model as Model
    from .model import load as load
    from .settings.network import NetworkSettings as NetworkSettings
    from .settings.sampling import SamplingSettings as SamplingSettings
    from .settings.training import TrainingSettings as TrainingSettings
    from .training.entry_points import new_run as new_run
    from .training.entry_points import resume_run as resume_run
    from .training.entry_points import train as train
    from .training.loop import Epoch as Epoch
    from .training.loop import Step as Step
    from .training.run import Run as Run

_HOMES = {
    "BackendError": "errors",
    "ConfigError": "errors",
    "CorpusError": "errors",
    "DivergedError": "errors",
    "LogError": "errors",
    "NumlstmError": "errors",
    "StorageError": "errors",
    "WeightsError": "errors",
    "Model": "model",
    "load": "model",
    "NetworkSettings": "settings.network",
    "SamplingSettings": "settings.sampling",
    "TrainingSettings": "settings.training",
    "Epoch": "training.loop",
    "Step": "training.loop",
    "Run": "training.run",
    "new_run": "training.entry_points",
    "resume_run": "training.entry_points",
    "train": "training.entry_points",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])


__all__ = [
    "BackendError",
    "ConfigError",
    "CorpusError",
    "DivergedError",
    "Epoch",
    "LogError",
    "Model",
    "NetworkSettings",
    "NumlstmError",
    "Run",
    "SamplingSettings",
    "Step",
    "StorageError",
    "TrainingSettings",
    "WeightsError",
    "__version__",
    "load",
    "new_run",
    "resume_run",
    "train",
]
