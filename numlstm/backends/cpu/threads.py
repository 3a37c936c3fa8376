"""The number of threads, and the lock that lets one caller at a time use them."""

from __future__ import annotations

import threading

from . import cores  # noqa: F401

# isort: split
import numba

from ...errors import ConfigError

# Numba's simplest threading layer aborts the process when two threads enter parallel kernels at once.
kernel_lock = threading.RLock()

_MOST_THREADS = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
_threads = _MOST_THREADS


def set_threads(threads: int | None) -> int:
    """Set the number of threads (None: one per core) and return it. Raises `ConfigError` if it is out of range."""
    global _threads
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise ConfigError(f"threads is {threads}; expected 1 to {_MOST_THREADS}, the cores that this process may use")
    _threads = _MOST_THREADS if threads is None else threads
    return _threads


def shards(most: int | None = None) -> int:
    """Return the number of parts to split work into: one per thread, at most `most`."""
    return _threads if most is None else min(most, _threads)
