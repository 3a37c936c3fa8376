"""Rung 1: the kernels compile with NVIDIA's compiler for every architecture, fit, and use the right precision."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from numlstm.backends.gpu import modules
from tests import emulation
from tests.backends.gpu.architectures import CUDA_12, GENERATIONS, PROCESSORS, Occupancy, headers
from tests.backends.gpu.nvidia_compiler import Made, compiler, library

# Kernels of the float build that compute in float64 because the contract requires it, and why.
DOUBLE = {
    "mean": "the loss is a float64 sum",
    "squares": "the norm is the root of a float64 sum",
    "unscaled_squares": "the norm is the root of a float64 sum",
    "root": "the norm is the root of a float64 sum",
    "clip_factor": "computed from the norm, one number per update",
    "adjust": "computed from the norm, one number per update",
    "share_of_scale": "computed from the loss scale, one number per batch",
    "draw_token": "tokens are sampled in float64",
    "uniform_numbers": "uniform numbers have 53 bits",
}
ADDED = ("-ftz=true", "--device-as-default-execution-space")  # options that CuPy adds
ONE = ((80, "float32"),)
ALL = (*((sm, "float32") for sm in PROCESSORS), *((sm, "float64") for sm in GENERATIONS))
# The sampling kernels take as long to compile as all others together.
TEXTS = [pytest.param(name, marks=pytest.mark.slow) if name == "generation" else name for name in modules.texts()]
on_builds = pytest.mark.parametrize("builds", [ONE, pytest.param(ALL, marks=pytest.mark.slow)], ids=["one", "all"])
ARITHMETIC = re.compile(r"^\s*(?:@!?%p\d+\s+)?(?!ld|st|mov)(\w[\w.]*\.f64\b[\w.]*)", re.MULTILINE)
SECTION = re.compile(r"^(?:\.visible )?\.(?:entry|func)\s+(?:\(.*?\)\s*)?(\w+)\(", re.MULTILINE)


def needed(sm: int) -> int:
    return 12 if sm in CUDA_12 else 13


@cache
def of_text(name: str, builds: tuple[tuple[int, str], ...]) -> dict[tuple[int, str], dict[str, Made]]:
    """Return each kernel's registers and spills, for each architecture and dtype; compiled in parallel."""
    text = modules.text(name)

    def make(build):
        return compiler(needed(build[0])).kernels(text, build[0], (*modules.options(build[1]), *ADDED))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(builds, pool.map(make, builds), strict=True))


@pytest.fixture(scope="module")
def occupancy(tmp_path_factory):
    if headers() is None or emulation.library.missing():
        pytest.skip("the CUDA runtime's headers or g++ are not installed")
    return Occupancy(tmp_path_factory.mktemp("occupancy"))


@pytest.fixture(autouse=True)
def installed():
    for major in (13, 12):
        if library(major) is None:
            pytest.skip(f"NVIDIA's compiler of CUDA {major} is not installed")


def test_the_compilers_know_the_architectures():
    for sm in PROCESSORS:
        assert sm in compiler(needed(sm)).architectures()


@on_builds
@pytest.mark.parametrize("name", TEXTS)
def test_every_kernel_is_compiled_for_every_architecture(name, builds):
    for kernels in of_text(name, builds).values():
        assert kernels.keys() == emulation.kernels(modules.text(name)).keys()


@on_builds
@pytest.mark.parametrize("name", TEXTS)
def test_registers_suffice(name, builds):
    spilled = {
        (kernel, *build): made.spilled
        for build, kernels in of_text(name, builds).items()
        for kernel, made in kernels.items()
        if made.spilled
    }
    assert not spilled, "registers spilled to memory (bytes)"


@pytest.mark.slow  # g++ compiles each source to get its launch bounds
@pytest.mark.parametrize("name", TEXTS)
def test_the_largest_block_of_each_kernel_can_be_launched(name, occupancy):
    """The largest block is given by the launch bounds, or 1024 threads; the emulation rejects larger ones."""
    bounds = largest_blocks(modules.text(name))
    refused = {
        (kernel, *build): (made, bounds[kernel])
        for build, kernels in of_text(name, ALL).items()
        for kernel, made in kernels.items()
        if occupancy.blocks(build[0], bounds[kernel], made.registers) < 1
    }
    assert not refused


def largest_blocks(text: str) -> dict[str, int]:
    """Return the maximum threads per block of each kernel."""
    return {
        name: emulation.Kernel(text, name, modules.options("float32")).most_threads for name in emulation.kernels(text)
    }


def in_double(text: str, allowed: dict[str, str]) -> dict[str, list[str]]:
    """Return the float64 instructions in a float build, by kernel or function, except in the `allowed` ones."""
    assembly = compiler(13).assembly(text, 80, (*modules.options("float32"), *ADDED))
    starts = [*SECTION.finditer(assembly)]
    ends = [each.start() for each in starts[1:]] + [len(assembly)]
    parts = {each[1]: assembly[each.start() : end] for each, end in zip(starts, ends, strict=True)}
    found = {name: ARITHMETIC.findall(part) for name, part in parts.items() if name not in allowed}
    return {name: instructions for name, instructions in found.items() if instructions}


@pytest.mark.parametrize("name", TEXTS)
def test_the_float_build_computes_in_float(name):
    assert not in_double(modules.text(name), DOUBLE)


def test_no_kernel_may_compute_in_double_that_does_not():
    texts = [modules.text(name) for name in modules.texts()]
    found = set().union(*(in_double(text, {}).keys() for text in texts))
    assert set(DOUBLE) <= found


SMALL = """
#define KERNEL extern "C" __global__ void
KERNEL fine(REAL* x) { x[threadIdx.x] = (REAL)1 / ((REAL)1 + exp(-x[threadIdx.x])); }
KERNEL literal(REAL* x) { x[threadIdx.x] = 1.0 / (1.0 + x[threadIdx.x]); }
KERNEL __launch_bounds__(1024, 1) crowded(REAL* x, int n) {
  REAL a[96];
#pragma unroll
  for (int i = 0; i < 96; i++) a[i] = x[i * 1024 + threadIdx.x];
  for (int t = 0; t < n; t++) {
#pragma unroll
    for (int i = 0; i < 96; i++) a[i] = a[i] * a[(i + 1) % 96] + x[t];
  }
#pragma unroll
  for (int i = 0; i < 96; i++) x[i * 1024 + threadIdx.x] = a[i];
}
"""


def test_each_check_can_fail(occupancy):
    assert in_double(SMALL, {}).keys() == {"literal"}
    assert not in_double(SMALL, {"literal": ""})
    assert compiler(13).kernels(SMALL, 80, modules.options("float32"))["crowded"].spilled > 0
    assert occupancy.blocks(80, 1024, 65) < 1 <= occupancy.blocks(80, 1024, 64)
    assert occupancy.blocks(75, 512, 129) < 1 <= occupancy.blocks(75, 512, 128)
    assert occupancy.blocks(75, 32, 32, dynamic=64 * 1024 + 1) < 1 <= occupancy.blocks(75, 32, 32, dynamic=64 * 1024)
    assert occupancy.blocks(86, 32, 32, dynamic=99 * 1024 + 1) < 1 <= occupancy.blocks(86, 32, 32, dynamic=99 * 1024)
    with pytest.raises(RuntimeError, match="absent"):
        compiler(13).kernels(SMALL.replace("= a[i];", "= absent;"), 80, modules.options("float32"))
