"""Rung 2s: backend tests run again under AddressSanitizer and ThreadSanitizer.

A sanitizer must be loaded when the process starts, so each test runs pytest or a few lines of Python in a subprocess.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from numlstm.backends import registry
from tests import emulation
from tests.emulation.library import COMPILER, FLAGS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
LAYER = "tests/backends/test_contract.py::test_a_layer[gpu, emulated-{}-float32-{}]"

REST = (
    "tests/backends/test_contract.py::test_dense[gpu, emulated-(5, 7, 2)-float32]",
    "tests/backends/test_contract.py::test_loss[gpu, emulated-5-31-1-float32]",
    "tests/backends/test_contract.py::test_windows_of_a_text[gpu, emulated-3-7-uint8]",
    "tests/backends/test_generation.py::test_generation_goes_on_exactly",
    "tests/backends/gpu/test_dense.py::test_the_loss_and_its_gradient[ascending-3-1024-1-float32]",
    "tests/backends/gpu/test_masks.py::test_an_embedding[ascending-3-4-5-33-float32]",
)
STACK = "tests/backends/test_variants.py::test_a_stack[gpu, emulated-1,3,2,(5,)-{}-float32]"


class Sanitizer(NamedTuple):
    """Its g++ flags, the library to preload, and its environment variables."""

    flags: str
    library: str
    settings: dict[str, str]


ADDRESS = Sanitizer(
    "-fsanitize=address,undefined -fno-sanitize-recover=all", "libasan.so", {"ASAN_OPTIONS": "detect_leaks=0"}
)
THREADS = Sanitizer(
    "-fsanitize=thread -DEMULATION_THREADS", "libtsan.so", {"TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
)


def run(sanitizer: Sanitizer, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python on an emulated device with sanitized kernels."""
    if emulation.missing():
        pytest.skip(emulation.missing())
    asked = [COMPILER, f"-print-file-name={sanitizer.library}"]
    library = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(library):
        pytest.skip(f"{sanitizer.library} is not installed")
    own = {"LD_PRELOAD": library, FLAGS: sanitizer.flags, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **own, **sanitizer.settings, **more, "PYTHONPATH": path}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)


def assert_all_passed(sanitizer: Sanitizer, *tests: str, **more: str) -> None:
    options = ("-n", "0", "-m", "", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-x", "-s", "-k", "not cpu")
    done = run(sanitizer, "-m", "pytest", *options, *tests, **more)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]


needs_backend = pytest.mark.skipif("gpu" not in registry.names(), reason="there is no backend for the GPU")


@needs_backend
@pytest.mark.parametrize("path", ["resident", "steps"])
def test_layers_stay_in_their_memory(path):
    shapes = [("(1, 3, 2, 5)", "tokens"), ("(3, 33, 4, 33)", "activations"), ("(2, 19, 6, 130)", "tokens")]
    assert_all_passed(ADDRESS, *[LAYER.format(*each) for each in shapes], NUMLSTM_GPU_PATH=path)


@needs_backend
def test_the_rest_of_a_step_and_drawing_stay_in_their_memory():
    assert_all_passed(ADDRESS, *REST, STACK.format("projection"), STACK.format("layer norm"))


@needs_backend
@pytest.mark.parametrize("path", ["resident", "steps"])
def test_layers_have_no_races(path):
    assert_all_passed(THREADS, LAYER.format("(6, 1, 3, 7)", "tokens"), NUMLSTM_GPU_PATH=path)


@needs_backend
def test_the_rest_of_a_step_and_drawing_have_no_races():
    assert_all_passed(THREADS, *REST)


FAULT = """
import numpy as np
from tests.emulation import Kernel
TEXT = '''
#define KERNEL extern "C" __global__ void
KERNEL turned(const float* x, float* y, int n) {
  DYN_SHARED(float, part);
  part[threadIdx.x] = x[threadIdx.x + n];
  %s
  y[threadIdx.x] = part[blockDim.x - 1 - threadIdx.x];
}
KERNEL left_early() { if (threadIdx.x) __syncthreads(); }
KERNEL everyone(float* y) { y[0] = blockIdx.x; }
'''
x, y = np.arange(32, dtype=np.float32), np.zeros(32, np.float32)
%s
"""
RIGHT = "Kernel(TEXT, 'turned')((1,), (32,), (x, y, np.int32(0)), shared_mem=128); print(y[0])"


@pytest.mark.parametrize("sanitizer", [ADDRESS, THREADS], ids=["address", "thread"])
def test_what_is_right_passes(sanitizer):
    done = run(sanitizer, "-c", FAULT % ("__syncthreads();", RIGHT))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "31.0\n"


@pytest.mark.parametrize(
    ("sanitizer", "barrier", "call", "said"),
    [
        (ADDRESS, "__syncthreads();", RIGHT.replace("int32(0)", "int32(1)"), "heap-buffer-overflow"),
        (ADDRESS, "__syncthreads();", RIGHT.replace("128", "124"), "heap-buffer-overflow"),
        (ADDRESS, "part[n] = (n + (1 << 30)) * 2;", RIGHT, "signed integer overflow"),
        (THREADS, "", RIGHT, "data race"),
        (THREADS, "__syncthreads();", "Kernel(TEXT, 'everyone')((2,), (1,), (y,))", "data race"),
        (THREADS, "", "Kernel(TEXT, 'left_early')((1,), (32,), ())", "deadlock: 31 threads wait at a barrier"),
    ],
)
def test_each_check_can_fail(sanitizer, barrier, call, said):
    done = run(sanitizer, "-c", FAULT % (barrier, call))
    assert done.returncode != 0
    assert said in done.stderr
