"""Find backends by name, and check which of them work on this machine."""

from __future__ import annotations

import importlib
import importlib.util
from typing import cast

from ..errors import BackendError
from .protocol import Backend

BACKENDS = ("cpu", "gpu", "reference")


def names() -> list[str]:
    """Return the names of the backends that are installed, in alphabetical order."""
    return [name for name in BACKENDS if importlib.util.find_spec(f"{__package__}.{name}")]


def load(name: str) -> Backend:
    """Import the backend `name`; "auto" is the GPU if it works, else the CPU.

    Raises `BackendError` if there is no backend of that name or it does not work on this machine.
    """
    if name == "auto":
        return next(_import(each) for each in _preferred() if not why_not(each))
    missing = why_not(name)
    if missing:
        raise BackendError(f"device {name} is not available: {missing}")
    return _import(name)


def why_not(name: str) -> str:
    """Return "" if the backend `name` works on this machine, else one line: what is missing and how to fix it.

    The GPU is checked by running a kernel on it, once per process. Raises `BackendError` if there is no such backend.
    """
    if name not in names():
        raise BackendError(f"no device is called {name!r}; expected auto, {', '.join(names())}")
    return _import(name).available()


def gpu_is_unused(chosen: Backend) -> bool:
    """Return True if this machine has an NVIDIA driver or CuPy, but `chosen` is not the GPU."""
    if chosen.name == "gpu" or "gpu" not in names():
        return False
    probe = importlib.import_module(f"{__package__}.gpu.probe")
    return bool(probe.seems_present())


def _preferred() -> list[str]:
    return [name for name in ("gpu", "cpu", "reference") if name in names()]


def _import(name: str) -> Backend:
    return cast(Backend, importlib.import_module(f"{__package__}.{name}"))
