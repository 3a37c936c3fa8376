"""The message for a user who lacks CuPy, the driver, a GPU or a library: one line with the command that fixes it.

CuPy is replaced by a stand-in that fails as the real one does when something is missing.
"""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys
import types
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.backends.gpu import device, modules, path_choice, probe
from numlstm.backends.gpu.description import about
from numlstm.cli.shared import device_errors
from numlstm.errors import BackendError


class CUDARuntimeError(RuntimeError):
    """Like CuPy's, which has a `status`."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(f"{name}: in words")
        self.status = status


class DynamicLibNotFoundError(RuntimeError):
    """Like the error of the package that locates the CUDA libraries."""


OutOfMemory = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})


class Array:
    """The part of a device array that the probe uses."""

    def __init__(self, shape: Any, dtype: Any) -> None:
        self.values = np.empty(shape, dtype)

    def set(self, values: Any) -> None:
        self.values[...] = values

    def get(self) -> Any:
        return self.values.copy()


class Machine:
    """A machine with a working GPU; a test breaks parts of it."""

    def __init__(self) -> None:
        self.driver, self.cuda, self.devices, self.sm = 13000, 13020, 1, "90"
        self.archs = (75, 80, 90, 120)
        self.broken: dict[str, Exception] = {}  # by the operation that raises it
        self.wrong: set[str] = set()

    def may_fail(self, what: str) -> None:
        if what in self.broken:
            raise self.broken[what]

    def count(self) -> int:
        self.may_fail("count")
        return self.devices

    def known(self) -> tuple[int, ...]:
        self.may_fail("nvrtc")
        return self.archs

    def cupy(self) -> Any:
        runtime = SimpleNamespace(
            driverGetVersion=lambda: self.driver,
            runtimeGetVersion=lambda: self.cuda,
            getDeviceCount=self.count,
            getDeviceProperties=lambda number: {"name": b"NVIDIA H100 80GB HBM3"},
            CUDARuntimeError=CUDARuntimeError,
        )
        attributes = {
            "MultiProcessorCount": 132,
            "MaxSharedMemoryPerBlock": 48 << 10,
            "MaxSharedMemoryPerBlockOptin": 227 << 10,
        }
        found = SimpleNamespace(
            id=0, compute_capability=self.sm, attributes=attributes, mem_info=(70 * 2**30, 80 * 2**30 - 5)
        )
        nvrtc = SimpleNamespace(getSupportedArchs=self.known, getVersion=lambda: (13, 5))
        cuda = SimpleNamespace(runtime=runtime, nvrtc=nvrtc, Device=lambda number=0: found)
        return SimpleNamespace(cuda=cuda, empty=Array, __version__="14.2.0")

    def launch(self, file: str, name: str, dtype: str, grid: Any, block: Any, arguments: Any) -> None:
        self.may_fail("kernel")
        out, count = arguments
        assert (file, name, dtype, type(count)) == ("probe", "probe", "float32", np.int32)
        out.values[...] = 3 * np.arange(count) + count
        if "kernel" in self.wrong:
            out.values[-1] += 1

    def multiply(self, a: Array, b: Array, out: Array) -> None:
        self.may_fail("product")
        out.values[...] = a.values.T @ b.values if "product" in self.wrong else a.values @ b.values


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A `Machine` that the probe sees in place of CuPy."""
    made = Machine()
    monkeypatch.setattr(probe, "cp", SimpleLazy(made))
    monkeypatch.setattr(device, "cp", SimpleLazy(made))
    monkeypatch.setattr(path_choice, "device", lambda: path_choice.Device(132, 227 << 10))
    monkeypatch.delenv(path_choice.VARIABLE, raising=False)
    monkeypatch.setattr(modules, "launch", made.launch)
    products = ModuleType("products")
    products.multiply = made.multiply  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "numlstm.backends.gpu.products", products)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return made


class SimpleLazy:
    """Like `lazy_cupy.cp`: each attribute access imports CuPy, which may fail."""

    def __init__(self, made: Machine) -> None:
        self.made = made

    def __getattr__(self, name: str) -> Any:
        self.made.may_fail("import")
        return getattr(self.made.cupy(), name)


def missing() -> str:
    """Return the probe's answer, bypassing its cache."""
    probe.available.cache_clear()
    try:
        return probe.available()
    finally:
        probe.available.cache_clear()


def test_a_gpu_that_works(machine: Machine) -> None:
    assert missing() == ""
    assert machine.sm == "90"


@pytest.mark.parametrize("newer", ["121", "130"])
def test_a_gpu_newer_than_the_compiler_is_let_try(machine: Machine, newer: str) -> None:
    machine.sm = newer
    assert missing() == ""


@pytest.mark.parametrize(
    ("driver", "cuda", "said"),
    [
        (0, 13020, ["no NVIDIA driver was found", "install NVIDIA's driver, 580 or newer", "nvidia.com/drivers"]),
        (12080, 13020, ["supports CUDA 12.8", "needs CUDA 13", "install driver 580", "'numlstm[gpu-cuda12]'", "525"]),
        (11040, 13020, ["supports CUDA 11.4", "needs CUDA 13: install driver 580 or newer"]),
        (11040, 12090, ["supports CUDA 11.4", "needs CUDA 12: install driver 525 or newer"]),
    ],
)
def test_a_driver_that_is_absent_or_too_old(machine: Machine, driver: int, cuda: int, said: list[str]) -> None:
    machine.driver, machine.cuda = driver, cuda
    machine.broken["count"] = CUDARuntimeError(35, "cudaErrorInsufficientDriver")
    found = missing()
    assert [part for part in said if part not in found] == []
    assert ("gpu-cuda12" in found) == (driver == 12080), "suggest CUDA 12 only if the driver supports it"


@pytest.mark.parametrize("how", ["none listed", "error 100"])
def test_a_driver_without_a_gpu(machine: Machine, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "none listed":
        machine.devices = 0
    else:
        machine.broken["count"] = CUDARuntimeError(100, "cudaErrorNoDevice")
    assert missing().startswith("there is an NVIDIA driver, but no GPU: check that nvidia-smi lists one")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert "CUDA_VISIBLE_DEVICES is '7'; unset it" in missing()


def test_a_driver_that_fails_otherwise(machine: Machine) -> None:
    machine.broken["count"] = CUDARuntimeError(999, "cudaErrorUnknown")
    assert missing() == (
        "the GPU cannot be queried (CUDARuntimeError: cudaErrorUnknown: in words): check that nvidia-smi works"
    )


def test_a_card_that_is_too_old_for_this_cuda(machine: Machine) -> None:
    machine.sm = "70"
    assert missing() == (
        "the GPU is sm_70, and this CuPy's CUDA 13.2 needs sm_75 or newer: pip uninstall cupy-cuda13x and pip install "
        "'numlstm[gpu-cuda12]', which supports sm_50 or newer"
    )
    machine.sm, machine.cuda, machine.archs = "37", 12090, (50, 52, 90)
    assert missing() == "the GPU is sm_37, and this CuPy's CUDA 12.9 needs sm_50 or newer: use `device` cpu"


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("nvrtc", DynamicLibNotFoundError("libnvrtc.so.13"), "NVRTC was not found: pip install 'cupy-cuda13x[ctk]'"),
        ("kernel", DynamicLibNotFoundError("libnvrtc.so.13"), "NVRTC was not found: pip install 'cupy-cuda13x[ctk]'"),
        ("product", ImportError('finding "libcublasLt.so.13"\n a\n b'), "cuBLAS was not found: pip install"),
        ("kernel", OutOfMemory("Out of memory"), "the GPU has no memory left: close other programs that use it"),
        ("kernel", CUDARuntimeError(209, "cudaErrorNoKernelImage"), "a test kernel failed (CUDARuntimeError: cuda"),
        ("product", RuntimeError("status 13"), "a test product failed (RuntimeError: status 13): update the driver"),
        ("import", ImportError("libcudart.so.13: no"), "CuPy is installed but cannot be imported (ImportError: libcud"),
        ("import", RuntimeError("compiled with NumPy 1\nmore"), "be imported (RuntimeError: compiled with NumPy 1)"),
    ],
)  # fmt: skip
def test_what_fails_on_the_way(machine: Machine, what: str, error: Exception, said: str) -> None:
    machine.broken[what] = error
    found = missing()
    assert said in found
    assert "\n" not in found


@pytest.mark.parametrize("what", ["kernel", "product"])
def test_wrong_numbers_are_not_a_gpu_that_works(machine: Machine, what: str) -> None:
    machine.wrong.add(what)
    assert missing().startswith(f"a test {what} gave wrong numbers: update the driver and run numlstm check")


def test_cupy_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert missing() == (
        "CuPy is not installed: pip install 'numlstm[gpu]' (driver 580 or newer) or 'numlstm[gpu-cuda12]' (an older "
        "driver or card)"
    )

    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    found = missing()
    assert found.startswith(
        "no NVIDIA driver was found, and CuPy is not installed: with an NVIDIA GPU, install NVIDIA's"
    )
    assert found.endswith("pip install 'numlstm[gpu]'")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "use `device` cpu" in missing()


def test_the_probe_runs_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(probe, "_check_installed", lambda: calls.append("asked"))
    probe.available.cache_clear()
    assert probe.available() == probe.available() == ""
    probe.available.cache_clear()
    assert calls == ["asked"]


def test_the_device_in_words(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    device._facts.cache_clear()
    try:
        found = device.facts()
        assert device.describe() == "gpu (NVIDIA H100 80GB HBM3, sm_90, 80 GB)"
        assert (found.sm, found.multiprocessors, found.shared_memory) == (90, 132, 227 << 10)
        assert (found.total_memory, found.free_memory) == (80 * 2**30 - 5, 70 * 2**30)
        assert (found.driver, found.runtime, found.nvrtc, found.cupy) == ("13.0", "13.2", "13.5", "14.2.0")
        facts = about()
        assert {"gpu", "sm", "driver", "cuda", "cupy", "nvrtc"} <= {*facts}
        assert facts["paths"].startswith("33 units, 7 rows: resident, blocks of 1; 128 units, 16 rows: resident")
        monkeypatch.setenv(path_choice.VARIABLE, "steps")
        assert about()["paths"].startswith("33 units, 7 rows: steps; 128 units, 16 rows: steps")
        monkeypatch.setenv(path_choice.VARIABLE, "abacus")
        assert about()["paths"].startswith("33 units, 7 rows: not abacus"), "a report must not fail for it"
        monkeypatch.setenv(path_choice.VARIABLE, "resident")
        monkeypatch.setattr(path_choice, "device", lambda: path_choice.Device(132, 8 << 10))
        assert about()["paths"].endswith("512 units, 100 rows: not resident")
    finally:
        device._facts.cache_clear()


# The command line


def why(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """Make the GPU backend unavailable for this reason, or available if it is empty."""
    found = registry._import

    def importing(name: str) -> Any:
        return SimpleNamespace(name="gpu", available=lambda: reason) if name == "gpu" else found(name)

    monkeypatch.setattr(registry, "names", lambda: ["cpu", "gpu", "reference"])
    monkeypatch.setattr(registry, "_import", importing)


def test_auto_takes_the_gpu_if_it_works_and_else_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    why(monkeypatch, "")
    assert registry.load("auto").name == registry.load("gpu").name == "gpu"
    assert registry.why_not("gpu") == registry.why_not("cpu") == ""
    why(monkeypatch, "it hides")
    assert registry.load("auto").name == "cpu"
    assert registry.why_not("gpu") == "it hides"
    with pytest.raises(BackendError, match="device gpu is not available: it hides"):
        registry.load("gpu")
    with pytest.raises(BackendError, match="no device is called 'tpu'; expected auto, cpu, gpu, reference"):
        registry.why_not("tpu")


def test_the_device_taken_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from numlstm.cli.shared.options import describe_device

    why(monkeypatch, "it hides")
    cpu = registry.load("reference")
    monkeypatch.setattr(probe, "seems_present", lambda: True)
    assert describe_device(cpu, "auto") == "reference (NumPy); the GPU is not used: it hides"
    assert describe_device(cpu, "reference") == "reference (NumPy)", "a device chosen by the user needs no reason"
    monkeypatch.setattr(probe, "seems_present", lambda: False)
    assert describe_device(cpu, "auto") == "reference (NumPy)", "nobody expects a GPU here"
    gpu = types.SimpleNamespace(name="gpu", describe=lambda: "gpu (A card)")
    assert describe_device(gpu, "auto") == "gpu (A card)"
    assert describe_device(gpu, "gpu") == "gpu (A card)"


@pytest.mark.parametrize(
    ("command", "lower"),
    [
        ("train", "--batch-size, --seq-len or --layers"),
        ("gen", "--samples or --beam"),
        ("eval", "--streams or --cold-windows"),
        ("score", "in parts"),
        ("check", "close other programs"),
        (None, "close other programs"),
    ],
)
def test_memory_that_does_not_suffice(command: str | None, lower: str) -> None:
    for error, where in (
        (MemoryError("x"), "out of memory; "),
        (OutOfMemory("Out of memory allocating 5 bytes (x)."), ""),
    ):
        line = device_errors.device_failure_message(error, command)
        assert lower in line
        assert line.startswith(where or "out of memory on the GPU (out of memory allocating 5 bytes); ")
        assert line.endswith(", or use --device cpu") == (not where)


@pytest.mark.parametrize(
    "said",
    [
        "cudaErrorMemoryAllocation: out of memory",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_others_than_the_pool_lack(said: str) -> None:
    error = type("CUDAError", (RuntimeError,), {"__module__": "cupy_backends.cuda.x"})
    expected = f"out of memory on the GPU ({said}); lower --samples or --beam, or use --device cpu"
    assert device_errors.device_failure_message(error(said), "gen") == expected


def test_a_gpu_that_fails_in_the_middle() -> None:
    error = type("CUDARuntimeError", (RuntimeError,), {"__module__": "cupy_backends.cuda.api.runtime"})
    line = device_errors.device_failure_message(error("cudaErrorIllegalAddress: an illegal\naddress"), "train")
    assert line.startswith(
        "the GPU failed (CUDARuntimeError: cudaErrorIllegalAddress: an illegal address); run `numlstm check"
    )
    assert device_errors.device_failure_message(RuntimeError("a bug of ours"), "train") == ""


ENDS = """
import sys
from unittest import mock
from numlstm import cli
from numlstm.network import weights_file
error = {error}
with mock.patch.object(weights_file, "load", side_effect=error):
    sys.argv = ["numlstm", "gen", "x.npz"]
    cli.main()
"""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("MemoryError()", "numlstm: out of memory; lower --samples or --beam"),
        ("type('E', (RuntimeError,), {'__module__': 'cupy_backends.x'})('bad')", "numlstm: the GPU failed (E: bad); "),
    ],
)
def test_the_command_ends_with_one_line(error: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(error=error)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
