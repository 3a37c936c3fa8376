"""NVIDIA's compiler as a library (NVRTC), for any architecture and without a GPU or a driver.

Two versions can be installed side by side, from two packages. Compilation is slow, so its results are stored in the
user's cache, keyed by content.
"""

from __future__ import annotations

import ctypes
import functools
import gzip
import hashlib
import importlib.util
import json
import os
import re
import threading
from pathlib import Path
from typing import Any, NamedTuple

from numlstm.storage import cache_folder
from tests.emulation.made_once import made_once

PLACES = {13: "cu13/lib/libnvrtc.so.13", 12: "cuda_nvrtc/lib/libnvrtc.so.12"}  # below the package `nvidia`
ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for '(?P<sm>\w+)'.*?"
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)


class Made(NamedTuple):
    """A compiled kernel: registers per thread, and bytes spilled to memory."""

    registers: int
    spilled: int


def library(major: int) -> Path | None:
    """Return the path of that version of the compiler, or None if it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    found = [Path(folder) / PLACES[major] for folder in folders or ()]
    return next((path for path in found if path.exists()), None)


class Compiler:
    """The compiler of one version of CUDA."""

    def __init__(self, major: int) -> None:
        path = library(major)
        assert path is not None
        self._lib = ctypes.CDLL(str(path))
        self._lib.nvrtcGetErrorString.restype = ctypes.c_char_p
        numbers = ctypes.c_int(), ctypes.c_int()
        self._check(self._lib.nvrtcVersion(*map(ctypes.byref, numbers)))
        self.version = ".".join(str(each.value) for each in numbers)

    def _check(self, status: int) -> None:
        if status:
            raise RuntimeError(self._lib.nvrtcGetErrorString(status).decode())

    def architectures(self) -> list[int]:
        """Return the architectures that this version compiles for: 75 for sm_75."""
        count = ctypes.c_int()
        self._check(self._lib.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        made = (ctypes.c_int * count.value)()
        self._check(self._lib.nvrtcGetSupportedArchs(made))
        return list(made)

    def kernels(self, text: str, sm: int, options: tuple[str, ...]) -> dict[str, Made]:
        """Compile for an architecture; return each kernel's registers and spills."""
        log = self._made(text, sm, options)["log"]
        return {
            each["name"]: Made(int(each["registers"]), int(each["stores"]) + int(each["loads"]))
            for each in ENTRY.finditer(log)
        }

    def assembly(self, text: str, sm: int, options: tuple[str, ...]) -> str:
        """Return the assembly (PTX) for an architecture."""
        return self._made(text, sm, options)["assembly"]

    def _made(self, text: str, sm: int, options: tuple[str, ...]) -> dict[str, str]:
        """Return the compiler's log and the assembly, from one cached compilation."""
        asked = (f"--gpu-architecture=sm_{sm}", "--ptxas-options=-v", *options)
        key = hashlib.sha256(repr([self.version, text, asked, ENTRY.pattern]).encode()).hexdigest()[:24]
        kept = cache_folder.folder() / "emulation" / f"{key}.json.gz"

        def make() -> None:
            log, assembly = self._compile(text, asked)
            new = kept.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
            new.write_bytes(gzip.compress(json.dumps({"log": log, "assembly": assembly}).encode()))
            os.replace(new, kept)

        found: dict[str, str] = json.loads(gzip.decompress(made_once(kept, make).read_bytes()))
        return found

    def _compile(self, text: str, options: tuple[str, ...]) -> tuple[str, str]:
        """Return the compiler's log and the assembly. Raises `RuntimeError` with the log if compilation fails."""
        lib, program = self._lib, ctypes.c_void_p()
        self._check(lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None))
        try:
            status = lib.nvrtcCompileProgram(
                program, len(options), (ctypes.c_char_p * len(options))(*[each.encode() for each in options])
            )
            log = self._read(program, "ProgramLog").rstrip(b"\0").decode()
            if status:
                raise RuntimeError(log or lib.nvrtcGetErrorString(status).decode())
            return log, self._read(program, "PTX").rstrip(b"\0").decode()
        finally:
            lib.nvrtcDestroyProgram(ctypes.byref(program))

    def _read(self, program: Any, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._lib, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        made = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._lib, f"nvrtcGet{what}")(program, made))
        return made.raw


@functools.cache
def compiler(major: int) -> Compiler:
    """Return the compiler of that version, loaded once."""
    return Compiler(major)
