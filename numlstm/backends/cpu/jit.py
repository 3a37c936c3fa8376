"""How the kernels of this folder are compiled, and where the compiled code is kept.

Compiled once, then kept on disk beside the sources. Numba notices when the file of a kernel changes, but
not when a file that it imports does; so the folder is named after the text of all of them. Where the package
cannot be written to, Numba's own choice in the user's home is taken; NUMBA_CACHE_DIR overrides both.

Between two parallel kernels the threads of GNU OpenMP spin for 2,000 turns of a loop, then sleep. With its own default,
many more, evaluating a text beside two busy programs on two cores took twice as long.

`error_model` says that dividing by zero raises nothing, without which LLVM vectorises no loop that divides.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def _kept_in() -> str:
    folder = Path(__file__).parent
    if numba.config.CACHE_DIR or not os.access(folder, os.W_OK):  # type: ignore[attr-defined]
        return str(numba.config.CACHE_DIR)  # type: ignore[attr-defined]
    text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    current = folder / "__pycache__" / f"kernels-{hashlib.sha256(text).hexdigest()[:16]}"
    for old in set(current.parent.glob("kernels-*")) - {current}:
        shutil.rmtree(old, ignore_errors=True)  # made from sources that are no longer here
    return str(current)


_FOLDER = _kept_in()
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # read when the first parallel kernel runs


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function for each combination of argument types that it is called with."""
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, _FOLDER
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy", **options)(function)
    finally:
        config.CACHE_DIR = before


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function whose `prange` loops run on several threads."""
    return kernel(function, parallel=True)
