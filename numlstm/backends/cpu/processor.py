"""The processor that the kernels are compiled for: its vector registers, its tiles and their instructions.

Detected from the host's features, as LLVM reports them. Unknown processors get plain 128-bit vectors, which LLVM
lowers for every processor. NUMLSTM_SIMD selects a narrower set that the host also has and restricts the compiler to
it, so that tests see what another machine would. NUMLSTM_AMX=off does without tiles; NUMLSTM_AMX=emulated computes what
they would in plain vector code, on any processor.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

import llvmlite.binding as llvm
import numba

from ...errors import BackendError


class RegisterFile(NamedTuple):
    """A vector extension: register `size` in bytes, number of `registers`, and whether it has fused multiply-add.

    `needs` are the features that the host must have; `processor` is a model with these and no wider registers.
    """

    name: str
    size: int
    registers: int
    fma: bool
    needs: tuple[str, ...]
    processor: str = ""


REGISTER_FILES = {
    "avx512": RegisterFile("AVX-512", 64, 32, True, ("avx512f", "avx512vl")),
    "avx2": RegisterFile("AVX2", 32, 16, True, ("avx2", "fma"), "haswell"),
    "neon": RegisterFile("NEON", 16, 32, True, ("neon",)),
    "plain": RegisterFile("plain", 16, 16, False, (), "x86-64"),
}
_TILE_ROW = 64  # bytes: kernels with tiles need registers of this size
# Linux's arch_prctl, its request for permission to use a part of the processor's state, and that part: the tiles' data.
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18


@functools.cache
def register_file() -> RegisterFile:
    """Return the host's widest vector extension, or the one that NUMLSTM_SIMD selects.

    Emulated tiles need registers of 64 bytes: on a host with smaller ones, the compiler makes them up from several.
    Raises `BackendError` if the host lacks the selected one.
    """
    here = available_register_files()
    name = os.environ.get("NUMLSTM_SIMD") or here[0]
    if name not in here:
        raise BackendError(f"NUMLSTM_SIMD is {name!r}; expected one that this processor has: {', '.join(here)}")
    chosen = REGISTER_FILES[name]
    if name != here[0] and chosen.processor and "sse2" in host_features():
        numba.config.CPU_NAME, numba.config.CPU_FEATURES = chosen.processor, ""  # type: ignore[attr-defined]
    if tiles_emulated() and chosen.size < _TILE_ROW:
        return chosen._replace(name=f"{chosen.name}, emulated tiles", size=_TILE_ROW)
    return chosen


def available_register_files() -> list[str]:
    """Return the values of NUMLSTM_SIMD that work on this host, widest first."""
    features = host_features()
    return [name for name, file in REGISTER_FILES.items() if all(features.get(need) for need in file.needs)]


def lanes(itemsize: int) -> int:
    """Return how many numbers of `itemsize` bytes fit in a register."""
    return register_file().size // itemsize


@functools.cache
def host_features() -> Mapping[str, bool]:
    """Return the processor's features by LLVM's names; empty if LLVM does not know them."""
    try:
        return dict(llvm.get_host_cpu_features())
    except RuntimeError:
        return {}


def bf16_emulated() -> bool:
    """Return True if NUMLSTM_BF16=emulated asks for bf16 products without the instruction: slow, for tests."""
    return os.environ.get("NUMLSTM_BF16") == "emulated"


def bf16_instructions() -> bool:
    """Return True if kernels use the processor's instructions for bf16 numbers (avx512_bf16)."""
    return not bf16_emulated() and bool(host_features().get("avx512bf16")) and register_file().name == "AVX-512"


def bf16_missing() -> str:
    """Return "" if bf16 products work here, with tiles or without, else one line that says what is missing."""
    if bf16_emulated() or not tiles_missing():
        return ""
    if bf16_instructions():
        return ""
    if not host_features().get("avx512bf16"):
        return "this processor has no instruction for bf16 products (vdpbf16ps, the feature avx512_bf16)"
    return f"bf16 products need AVX-512, but NUMLSTM_SIMD selects {register_file().name}"


def _amx() -> str:
    chosen = os.environ.get("NUMLSTM_AMX", "")
    if chosen not in ("", "emulated", "off"):
        raise BackendError(f"NUMLSTM_AMX is {chosen!r}; expected emulated or off")
    return chosen


def tiles_emulated() -> bool:
    """Return True if NUMLSTM_AMX=emulated asks for tiles without the instructions: slow, for tests."""
    return _amx() == "emulated"


@functools.cache
def tiles_missing() -> str:
    """Return "" if products of bf16 numbers can be computed in tiles (AMX), else one line that says what is missing.

    Asks the system's permission for this process, once: without it the first instruction would end the process.
    """
    if _amx() == "off":
        return "NUMLSTM_AMX is off"
    if tiles_emulated():
        return ""
    features = host_features()
    if not (features.get("amx-tile") and features.get("amx-bf16")):
        return "this processor has no tiles for bf16 products (the features amx_tile and amx_bf16)"
    if register_file().name != "AVX-512":
        return f"tiles need AVX-512, but NUMLSTM_SIMD selects {register_file().name}"
    if not (sys.platform.startswith("linux") and features.get("64bit", True)):
        return f"tiles are used on Linux only, and this is {sys.platform}"
    if ctypes.CDLL(None, use_errno=True).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) != 0:
        return f"the system does not let this process use tiles: {os.strerror(ctypes.get_errno())}"
    return ""
