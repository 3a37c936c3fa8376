"""Compiles CUDA sources with g++ into libraries, stored in the user's cache keyed by content.

Two things make this fast: the headers are precompiled once for all sources, and processes that need the same library
at the same time wait for the first one to build it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from numlstm.storage import cache_folder
from tests.emulation.made_once import made_once

HEADERS = Path(__file__).parent
COMPILER = "g++"
FLAGS = "NUMLSTM_EMULATION_FLAGS"
# The tests' arrays are small, so compiling takes longer than running, and -O1 would take twice as long.
OPTIONS = ("-std=c++17", "-Og", "-fPIC", "-pthread", "-ffp-contract=off", "-fno-gnu-unique")
WARNINGS = (
    "-fvisibility=hidden",
    "-Werror=uninitialized",
    "-Wno-maybe-uninitialized",
    "-Werror=return-type",
    "-Wno-unknown-pragmas",
)
DAY = 24 * 3600.0  # seconds


class EmulationError(RuntimeError):
    """An action that a device would reject, or silently get wrong."""


def missing() -> str:
    """Return "" if kernels can be compiled here, otherwise what is missing."""
    return "" if shutil.which(COMPILER) else f"{COMPILER} is not installed"


def flags_asked_for() -> tuple[str, ...]:
    """Return the g++ flags from the environment, which the sanitizer tests set."""
    return tuple(os.environ.get(FLAGS, "").split())


@functools.cache
def library(text: str, exports: str, options: tuple[str, ...], flags: tuple[str, ...]) -> ctypes.CDLL:
    """Compile and load a CUDA source. `options` are the CUDA compiler's, `flags` are for g++."""
    source = f'#include "cuda.h"\n#line 1 "kernels.cu"\n{text}\n{exports}'
    common = [COMPILER, *OPTIONS, *WARNINGS, *_poisoned_locals(), *flags, *_debug_information(flags)]
    command = [*common, *[option for option in options if option.startswith("-D")]]
    built = _folder() / f"{_key(source, *command)}.so"

    def build() -> None:
        _build(source, [*command, f"-I{_compiled_headers(common)}", f"-I{HEADERS}"], built)

    return ctypes.CDLL(str(made_once(built, build)))


def _folder() -> Path:
    return cache_folder.folder() / "emulation"


def _key(*parts: str) -> str:
    return hashlib.sha256(repr([parts, _header_texts(), _version()]).encode()).hexdigest()[:24]


@functools.cache
def _header_texts() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(HEADERS.glob("*.h"))]


@functools.cache
def _version() -> str:
    asked = [COMPILER, "-dumpfullversion", "-dumpmachine"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def _poisoned_locals() -> tuple[str, ...]:
    """Return the flags that fill uninitialised variables with a pattern, available since g++ 12."""
    return ("-ftrivial-auto-var-init=pattern",) if int(_version().split(".")[0]) >= 12 else ()


def _debug_information(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the flags that let a sanitizer report line numbers, if one is in use."""
    return ("-g1",) if any("sanitize" in flag for flag in flags) else ()


def _compiled_headers(command: Sequence[str]) -> Path:
    """Return a folder with the precompiled `cuda.h` for a command; g++ falls back to the header if it is missing."""
    folder = _folder() / f"headers-{_key(*command)}"
    compiled = folder / "cuda.h.gch"

    def compile_headers() -> None:
        _remove_old_headers()
        _compile([*command, "-x", "c++-header", str(HEADERS / "cuda.h")], compiled, f"{HEADERS.name}/cuda.h")

    made_once(compiled, compile_headers)
    return folder


def _remove_old_headers() -> None:
    """Remove precompiled headers older than a day: each takes 45 MB, and 3 seconds to compile."""
    for folder in _folder().glob("headers-*/"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > DAY:
                shutil.rmtree(folder, ignore_errors=True)


def _build(source: str, command: Sequence[str], built: Path) -> None:
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        kernels = Path(folder) / "kernels.cpp"
        kernels.write_text(source, encoding="utf-8")
        _compile([*command, "-shared", str(kernels)], built, "the kernels")


def _compile(command: Sequence[str], made: Path, what: str) -> None:
    new = made.with_suffix(f".{os.getpid()}")
    done = subprocess.run([*command, "-o", str(new)], capture_output=True, text=True)
    if done.returncode:
        raise EmulationError(f"{COMPILER} refuses {what}:\n{done.stderr}")
    os.replace(new, made)
