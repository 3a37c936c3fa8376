"""How the kernels of this folder are compiled.

Compiled when first called, once for each combination of argument types, then kept: see `cache.py`.

Between two parallel kernels the threads of GNU OpenMP spin for 2,000 turns of a loop, then sleep. With its own default,
many more, evaluating a text beside two busy programs on two cores took twice as long.

`error_model` says that dividing by zero raises nothing, without which LLVM vectorises no loop that divides.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numba

from . import cache

_FOLDER = cache.folder()
cache.mark_as_used(_FOLDER)
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # read when the first parallel kernel runs


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function for each combination of argument types that it is called with."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)
    compiled._cache = cache.KernelCache(function, _FOLDER)  # where `cache=True` would put Numba's own
    return compiled


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function whose `prange` loops run on several threads."""
    return kernel(function, parallel=True)
