"""Load the CUDA kernels' source, compile it on first use, and launch the kernels.

A source file in `kernels/` is compiled after `kernels/common.cuh`, with its includes expanded and REAL defined as the
number type. CuPy caches NVRTC's output on disk. Only the tests' emulation checks a kernel's arguments: pass a device
array for a pointer, and a NumPy scalar of the exact type for a number.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .lazy_cupy import cp

FOLDER = Path(__file__).parent / "kernels"
REALS = {"float32": "float", "float64": "double"}
_INCLUDE = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)
DEFAULT_SHARED_LIMIT = 48 * 1024  # bytes of shared memory that a block may have without requesting more


def texts() -> list[str]:
    """Return the names of the kernels' source files, without the suffix."""
    return sorted(path.stem for path in FOLDER.glob("*.cu"))


def text(name: str) -> str:
    """Return the source text that is compiled for a file of kernels."""
    return "\n".join(_with_included(each) for each in ("common.cuh", f"{name}.cu"))


def _with_included(file: str) -> str:
    """Return the text of a file with its includes expanded: NVRTC has no include path to our folder."""
    written = (FOLDER / file).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: _with_included(found[1]), written)


def options(dtype: npt.DTypeLike) -> tuple[str, ...]:
    """Return the compiler options for kernels of that dtype."""
    return ("-std=c++17", f"-DREAL={REALS[np.dtype(dtype).name]}")


@functools.cache
def _module(name: str, dtype: str) -> Any:
    return cp.RawModule(code=text(name), options=options(dtype))


@functools.cache
def kernel(file: str, name: str, dtype: str) -> Any:
    """Return the kernel `name` of a source file, for numbers of that dtype."""
    return _module(file, dtype).get_function(name)


def launch(
    file: str,
    name: str,
    dtype: npt.DTypeLike,
    grid: Sequence[int],
    block: Sequence[int],
    arguments: Sequence[Any],
    *,
    shared: int = 0,
) -> None:
    """Queue a kernel on the current stream, with `shared` bytes of dynamic shared memory for each block."""
    function = kernel(file, name, np.dtype(dtype).name)
    if shared > DEFAULT_SHARED_LIMIT:
        function.max_dynamic_shared_size_bytes = shared
    function(tuple(grid), tuple(block), tuple(arguments), shared_mem=shared)


def blocks_for(entries: int, threads: int) -> tuple[int]:
    """Return a grid with a thread per entry, of at most 2^30 blocks; kernels stride over the remaining entries."""
    return (max(1, min(-(-entries // threads), 2**30)),)
