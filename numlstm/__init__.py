"""numlstm: train an LSTM on your own text and write new text like it, on the machine you have.

    model = numlstm.load("weights.npz", device="cpu")
    print(model.generate("ROMEO:", length=200, temperature=0.6, seed=0))

The public names are imported when they are first used, so that `import numlstm` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .errors import NumlstmError as NumlstmError
    from .model import Model as Model
    from .model import load as load
    from .settings.network import NetworkSettings as NetworkSettings
    from .settings.sampling import SamplingSettings as SamplingSettings
    from .settings.training import TrainingSettings as TrainingSettings

_HOMES = {
    "NetworkSettings": "settings.network",
    "SamplingSettings": "settings.sampling",
    "TrainingSettings": "settings.training",
    "NumlstmError": "errors",
    "Model": "model",
    "load": "model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["Model", "NetworkSettings", "NumlstmError", "SamplingSettings", "TrainingSettings", "load"]
