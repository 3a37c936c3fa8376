"""Texts of CUDA kernels made into functions of this processor by g++, and launched as CuPy launches kernels.

Libraries are kept by their content in the user's cache. Knows nothing about CuPy: arrays are NumPy's or whatever has
`.data.ptr`, and a kernel runs when it is called.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numlstm import cachedir

HEADERS = Path(__file__).parent
COMPILER = "g++"
FLAGS = "NUMLSTM_EMULATION_FLAGS"
OPTIONS = ("-std=c++17", "-O1", "-g1", "-fPIC", "-shared", "-pthread", "-ffp-contract=off", "-fno-gnu-unique")
MODULES = (
    "-fvisibility=hidden",
    "-Werror=uninitialized",
    "-Wno-maybe-uninitialized",
    "-Werror=return-type",
    "-Wno-unknown-pragmas",
)
KERNEL = re.compile(
    r"^\s*KERNEL\s+(?:__launch_bounds__\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*)?(\w+)\s*\(", re.MULTILINE
)
MOST_THREADS = 1024
MOST_IN_BLOCK = (1024, 1024, 64)
MOST_IN_GRID = (2**31 - 1, 65535, 65535)
UNASKED_SHARED = 48 * 1024


class EmulationError(RuntimeError):
    """What a device would refuse, or do wrong without a word."""


def missing() -> str:
    """Return "" if kernels can be compiled here, else what is missing."""
    return "" if shutil.which(COMPILER) else f"{COMPILER} is not installed"


def kernels(text: str) -> dict[str, str]:
    """Return the names of the kernels of a text, each with the most threads that its launch bounds allow."""
    return {name: (bounds or str(MOST_THREADS)).split(",")[0] for bounds, name in KERNEL.findall(text)}


def flags_asked_for() -> tuple[str, ...]:
    """Return the flags of g++ that the environment asks for: how tests are run again under a sanitizer."""
    return tuple(os.environ.get(FLAGS, "").split())


@functools.cache
def _version() -> str:
    asked = [COMPILER, "-dumpfullversion", "-dumpmachine"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def _poisoned_locals() -> tuple[str, ...]:
    """Return what lets variables without a value begin as nonsense, which g++ can from 12 on."""
    return ("-ftrivial-auto-var-init=pattern",) if int(_version().split(".")[0]) >= 12 else ()


@functools.cache
def library(text: str, options: tuple[str, ...], flags: tuple[str, ...]) -> ctypes.CDLL:
    """Return a text as a loaded library; options are those of the CUDA compiler, flags those of g++."""
    exports = "".join(f"EMULATION_KERNEL({name}, {bound})\n" for name, bound in kernels(text).items())
    source = f'#include "cuda.h"\n#line 1 "kernels.cu"\n{text}\n{exports}'
    defines = [option for option in options if option.startswith("-D")]
    command = [COMPILER, *OPTIONS, *MODULES, *_poisoned_locals(), *flags, *defines, f"-I{HEADERS}"]
    headers = [path.read_text(encoding="utf-8") for path in sorted(HEADERS.glob("*.h"))]
    key = hashlib.sha256(repr([source, headers, command, _version()]).encode()).hexdigest()[:24]
    built = cachedir.folder() / "emulation" / f"{key}.so"
    if not built.exists():
        _build(source, command, built)
    return ctypes.CDLL(str(built))


def _build(source: str, command: Sequence[str], built: Path) -> None:
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        (Path(folder) / "kernels.cpp").write_text(source, encoding="utf-8")
        done = subprocess.run([*command, "kernels.cpp", "-o", "kernels.so"], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise EmulationError(f"{COMPILER} refuses the kernels:\n{done.stderr}")
        os.replace(Path(folder) / "kernels.so", built)


class Launched(NamedTuple):
    """A launch that was made, for whoever wants to know the sizes that kernels are launched with."""

    kernel: str
    options: tuple[str, ...]
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int


class Kernel:
    """A kernel of a text, called as a `cupy.RawKernel` is.

    Stricter than that: each argument must be what the C++ parameter is, an array of that type for a pointer and a NumPy
    scalar of that type for a number. `shared_limit` is what a device would grant a block that asks for it.
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
        loaded = library(text, options, flags_asked_for() if flags is None else flags)
        self.name, self.options, self.order = name, options, 0
        self._asked_shared, self._shared_limit = UNASKED_SHARED, shared_limit
        self._run = getattr(loaded, f"{name}__run")
        self._run.restype = ctypes.c_char_p
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
        signature = getattr(loaded, f"{name}__signature")
        signature.restype = ctypes.c_char_p
        self.signature: list[str] = signature().decode().split()
        self.most_threads = min(MOST_THREADS, getattr(loaded, f"{name}__bound")())

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """The most shared memory that a block may be launched with."""
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
        """Check a launch; return what runs it. That keeps addresses and numbers, as a launch does, not the arrays."""
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
                raise TypeError(f"{where}: a {type(given).__name__} for {wanted}; hand in a NumPy scalar of that type")
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
