"""CUDA kernels compiled for the CPU (`library.py`) and launched with CuPy's interface.

Arrays may be NumPy's or any with `.data.ptr`. A kernel runs immediately when called.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.emulation.library import EmulationError, flags_asked_for, library

KERNEL = re.compile(
    r"^\s*KERNEL\s+(?:__launch_bounds__\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*)?(\w+)\s*\(", re.MULTILINE
)
MOST_THREADS = 1024
MOST_IN_BLOCK = (1024, 1024, 64)
MOST_IN_GRID = (2**31 - 1, 65535, 65535)
DEFAULT_SHARED_LIMIT = 48 * 1024


def kernels(text: str) -> dict[str, str]:
    """Return the kernel names in a CUDA source, each with the maximum threads per block of its launch bounds."""
    return {name: (bounds or str(MOST_THREADS)).split(",")[0] for bounds, name in KERNEL.findall(text)}


class Launched(NamedTuple):
    """A recorded launch: the kernel, its compile options and its sizes."""

    kernel: str
    options: tuple[str, ...]
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int


class Kernel:
    """A kernel from a CUDA source, called like a `cupy.RawKernel`.

    Stricter than CuPy: each argument must match the C++ parameter exactly, an array of that type for a pointer and a
    NumPy scalar of that type for a number. `shared_limit` is the most shared memory (bytes) that a block may request.
    """

    def __init__(
        self,
        text: str,
        name: str,
        options: tuple[str, ...] = (),
        flags: tuple[str, ...] | None = None,
        *,
        shared_limit: int = 227 * 1024,
    ) -> None:
        if name not in kernels(text):
            raise EmulationError(f"no kernel {name}; the text has {', '.join(kernels(text)) or 'none'}")
        exports = "".join(f"EMULATION_KERNEL({each}, {bound})\n" for each, bound in kernels(text).items())
        loaded = library(text, exports, options, flags_asked_for() if flags is None else flags)
        self.name, self.options, self.order = name, options, 0
        self._asked_shared, self._shared_limit = DEFAULT_SHARED_LIMIT, shared_limit
        self._run = getattr(loaded, f"{name}__run")
        self._run.restype = ctypes.c_char_p
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
        signature = getattr(loaded, f"{name}__signature")
        signature.restype = ctypes.c_char_p
        self.signature: list[str] = signature().decode().split()
        self.most_threads = min(MOST_THREADS, getattr(loaded, f"{name}__bound")())

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """The most dynamic shared memory (bytes) that a launch may use per block."""
        return self._asked_shared

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if size > self._shared_limit:
            raise EmulationError(
                f"{self.name}: {size} bytes of shared memory asked for, a block has {self._shared_limit}"
            )
        self._asked_shared = size

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0) -> None:
        """Run the kernel now."""
        self.bind(grid, block, args, shared_mem=shared_mem)()

    def bind(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0, order: int = -1
    ) -> Callable[[], None]:
        """Check a launch and return a function that runs it. Like a real launch, it keeps pointers, not arrays."""
        sizes = self._checked_sizes(grid, block, shared_mem)
        if len(args) != len(self.signature):
            raise TypeError(f"{self.name} takes {len(self.signature)} arguments, not {len(args)}")
        kept = [self._argument(n, given) for n, given in enumerate(args)]
        addresses = (ctypes.c_void_p * (len(kept) or 1))(*[ctypes.addressof(each) for each in kept])

        def run(kept: Any = kept) -> None:
            problem = self._run(sizes[0], sizes[1], shared_mem, self.order if order < 0 else order, addresses)
            if problem:
                raise EmulationError(f"{self.name}: {problem.decode()}")

        return run

    def _checked_sizes(self, grid: Sequence[int], block: Sequence[int], shared: int) -> list[Any]:
        sizes = []
        for what, given, most in (("grid", grid, MOST_IN_GRID), ("block", block, MOST_IN_BLOCK)):
            if not 1 <= len(given) <= 3:
                raise EmulationError(f"{self.name}: a {what} has 1 to 3 dimensions, not {len(given)}")
            full = (*map(int, given), 1, 1)[:3]
            if not all(1 <= size <= limit for size, limit in zip(full, most, strict=True)):
                raise EmulationError(f"{self.name}: a {what} of {tuple(given)}; each size is 1 to {most}")
            sizes.append((ctypes.c_uint * 3)(*full))
        threads = int(np.prod(list(sizes[1])))
        if threads > self.most_threads:
            raise EmulationError(f"{self.name}: {threads} threads in a block; it can have {self.most_threads}")
        if shared > self._asked_shared:
            raise EmulationError(
                f"{self.name}: {shared} bytes of shared memory; max_dynamic_shared_size_bytes is {self._asked_shared}"
            )
        return sizes

    def _argument(self, n: int, given: Any) -> Any:
        wanted, where = self.signature[n], f"{self.name}, argument {n}"
        if not wanted.startswith("*"):
            if not isinstance(given, np.generic):
                raise TypeError(f"{where}: a {type(given).__name__} for {wanted}; pass a NumPy scalar of that type")
            if f"{given.dtype.kind}{given.dtype.itemsize}" != wanted:
                raise TypeError(f"{where}: {given.dtype} for {wanted}")
            return (ctypes.c_char * given.nbytes).from_buffer_copy(given.tobytes())
        if isinstance(given, np.generic) or not hasattr(given, "dtype"):
            raise TypeError(f"{where}: a {type(given).__name__} for the pointer {wanted}")
        kind, size = wanted[1], int(wanted[2:])
        fits = kind == "v" or (kind == "V" and size % given.dtype.itemsize == 0)
        if not fits and f"*{given.dtype.kind}{given.dtype.itemsize}" != wanted:
            raise TypeError(f"{where}: an array of {given.dtype} for {wanted}")
        return ctypes.c_void_p(given.data.ptr if hasattr(given.data, "ptr") else given.ctypes.data)
