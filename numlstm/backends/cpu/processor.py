"""The processor that the kernels are compiled for: its vector registers and what it can do with them.

Taken from the host's features, as LLVM tells them; whatever is not known here gets plain 128-bit vectors, which LLVM
lowers for every processor. NUMLSTM_SIMD chooses a narrower set that this host has too, and the compiler is then
kept to it, so that a test sees what another machine would. Knows nothing about kernels.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import NamedTuple

import llvmlite.binding as llvm
import numba

from ...errors import BackendError


class RegisterFile(NamedTuple):
    """A vector extension: a register's `size` in bytes, how many there are, whether it multiplies and adds at once.

    `needs` are the features that the host must have; `processor` is one that has these and no wider registers.
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


@functools.cache
def register_file() -> RegisterFile:
    """Return the widest vector extension that the host has, or the one that NUMLSTM_SIMD names.

    Raises `BackendError` if the host lacks the one that is named.
    """
    here = possible()
    name = os.environ.get("NUMLSTM_SIMD") or here[0]
    if name not in here:
        raise BackendError(f"NUMLSTM_SIMD is {name!r}; expected what this processor has: {', '.join(here)}")
    chosen = REGISTER_FILES[name]
    if name != here[0] and chosen.processor and "sse2" in host_features():
        numba.config.CPU_NAME, numba.config.CPU_FEATURES = chosen.processor, ""  # type: ignore[attr-defined]
    return chosen


def possible() -> list[str]:
    """Return what NUMLSTM_SIMD may name on this host, the widest first."""
    features = host_features()
    return [name for name, file in REGISTER_FILES.items() if all(features.get(need) for need in file.needs)]


def lanes(itemsize: int) -> int:
    """Return how many numbers of `itemsize` bytes a register holds."""
    return register_file().size // itemsize


@functools.cache
def host_features() -> Mapping[str, bool]:
    """Return what the processor can do, by LLVM's names; nothing where LLVM does not know."""
    try:
        return dict(llvm.get_host_cpu_features())
    except RuntimeError:
        return {}


def bf16_emulated() -> bool:
    """Say whether NUMLSTM_BF16=emulated asks for bf16 products without the instruction: slow, for tests."""
    return os.environ.get("NUMLSTM_BF16") == "emulated"


def bf16_missing() -> str:
    """Return "" if bf16 products can be computed here, else one line that says what is missing."""
    if bf16_emulated():
        return ""
    if not host_features().get("avx512bf16"):
        return "this processor has no instruction for bf16 products (vdpbf16ps, the feature avx512_bf16)"
    if register_file().name != "AVX-512":
        return f"bf16 products need AVX-512, and NUMLSTM_SIMD chose {register_file().name}"
    return ""
