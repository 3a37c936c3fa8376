"""Check whether this machine's GPU works; if not, say what is missing and which command fixes it.

Cheap checks come first: CuPy is imported only if it is installed, and the device is used only if there is a driver. The
last checks run a kernel of ours and a small product and compare their results, since a device may be listed and yet not
work.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import modules
from .device import version
from .lazy_cupy import cp

CHECK = "numlstm check --device gpu"
DRIVERS = {12: "525", 13: "580"}  # the oldest driver for each version of CUDA, on Linux
INSTALL = "pip install 'numlstm[gpu]' (driver 580 or newer) or 'numlstm[gpu-cuda12]' (an older driver or card)"
_GET_DRIVER = "install NVIDIA's driver, 580 or newer, from https://www.nvidia.com/drivers"

# The CUDA runtime's error codes in place of a number of devices.
_INSUFFICIENT_DRIVER, _NO_DEVICE = 35, 100

_ENTRIES = 1000  # of the kernel's result: more than one block
_SIDE = 16  # of the product's matrices


class _Missing(Exception):
    """What is missing, in one line that ends with how to fix it."""


@functools.cache
def available() -> str:
    """Return "" if the GPU works, else one line: what is missing and how to fix it. The result is cached."""
    try:
        _check_installed()
        _check_driver(_imported())
        _check_device()
        _check_kernel()
        _check_product()
    except _Missing as missing:
        return " ".join(str(missing).split())  # one line, even if a library's message has several
    return ""


def seems_present() -> bool:
    """Return True if CuPy is installed or NVIDIA's driver is there, so that the user expects the GPU to work."""
    return importlib.util.find_spec("cupy") is not None or _driver_is_there()


def _check_installed() -> None:
    if importlib.util.find_spec("cupy") is not None:
        return
    if sys.platform == "darwin":
        raise _Missing("numlstm's GPU kernels need an NVIDIA GPU, and macOS has no driver for one: use `device` cpu")
    if not _driver_is_there():
        raise _Missing(f"no NVIDIA driver was found, and CuPy is not installed: with an NVIDIA GPU, {_GET_DRIVER}, and "
                       "pip install 'numlstm[gpu]'")  # fmt: skip
    raise _Missing(f"CuPy is not installed: {INSTALL}")


def _driver_is_there() -> bool:
    """True if the driver's library can be loaded; nothing in it is called."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _imported() -> Any:
    """Return CuPy's CUDA runtime."""
    try:
        return cp.cuda.runtime
    except Exception as error:  # whatever a broken installation raises
        raise _Missing(
            f"CuPy is installed but cannot be imported ({_said(error)}): pip uninstall it (pip list | grep cupy shows "
            f"its name), then {INSTALL}"
        ) from None


def _check_driver(runtime: Any) -> None:
    """Check that there is a driver new enough for this CuPy, and a device."""
    driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if not driver:
        raise _Missing(f"no NVIDIA driver was found: {_GET_DRIVER}")
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        if error.status == _INSUFFICIENT_DRIVER:
            raise _Missing(_too_old(driver, needed)) from None
        if error.status != _NO_DEVICE:
            raise _Missing(f"the GPU cannot be queried ({_said(error)}): check that nvidia-smi works") from None
        count = 0
    if not count:
        raise _Missing(f"there is an NVIDIA driver, but no GPU: {_hidden()}")


def _too_old(driver: int, needed: int) -> str:
    found = f"the NVIDIA driver supports CUDA {version(driver)}, and this CuPy needs CUDA {needed // 1000}"
    newer = f"install driver {DRIVERS.get(needed // 1000, 'for it')} or newer"
    if needed // 1000 > 12 <= driver // 1000:
        return f"{found}: {newer}, or {_for_cuda12()} (driver {DRIVERS[12]} or newer)"
    return f"{found}: {newer}"


def _for_cuda12() -> str:
    return "pip uninstall cupy-cuda13x and pip install 'numlstm[gpu-cuda12]'"


def _hidden() -> str:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return "check that nvidia-smi lists one, or use `device` cpu"
    return f"CUDA_VISIBLE_DEVICES is {chosen!r}; unset it, or set it to a number that nvidia-smi -L lists"


def _check_device() -> None:
    """Check that NVRTC is there and compiles for the device."""
    with _explained("querying the device"):
        known = sorted(map(int, cp.cuda.nvrtc.getSupportedArchs()))
        sm = int(cp.cuda.Device().compute_capability)
    if sm >= known[0]:  # newer devices run code compiled for the newest known one
        return
    old = f"the GPU is sm_{sm}, and this CuPy's CUDA {version(cp.cuda.runtime.runtimeGetVersion())} needs sm_{known[0]}"
    if _cuda() > 12:
        raise _Missing(f"{old} or newer: {_for_cuda12()}, which supports sm_50 or newer")
    raise _Missing(f"{old} or newer: use `device` cpu")


def _check_kernel() -> None:
    with _explained("a test kernel"):
        out = cp.empty(_ENTRIES, np.float32)
        modules.launch("probe", "probe", "float32", (2,), (128,), (out, np.int32(_ENTRIES)))
        found = out.get()
    if not np.array_equal(found, 3 * np.arange(_ENTRIES, dtype=np.float32) + _ENTRIES):
        raise _Missing(f"a test kernel gave wrong numbers: {_UPDATE_DRIVER}")


def _check_product() -> None:
    from .products import multiply

    left = np.arange(_SIDE * _SIDE, dtype=np.float32).reshape(_SIDE, _SIDE) % 7
    right = left.T % 5
    with _explained("a test product"):
        a, b, product = (cp.empty((_SIDE, _SIDE), np.float32) for _ in range(3))
        a.set(left)
        b.set(np.ascontiguousarray(right))
        multiply(a, b, product)
        found = product.get()
    if not np.array_equal(found, left @ right):  # small integers: exact in any order of summation
        raise _Missing(f"a test product gave wrong numbers: {_UPDATE_DRIVER}")


_UPDATE_DRIVER = f"update the driver and run {CHECK}, or use `device` cpu"


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn any exception in the block into `_Missing`."""
    try:
        yield
    except MemoryError:
        raise _Missing("the GPU has no memory left: close other programs that use it (nvidia-smi lists them)") from None
    except Exception as error:  # CUDA has many error classes, and a broken installation may raise any other
        if type(error).__name__ == "DynamicLibNotFoundError" or isinstance(error, ImportError):
            library = "cuBLAS" if "cublas" in str(error).lower() else "NVRTC"
            mend = f"pip install 'cupy-cuda{_cuda()}x[ctk]'"
            raise _Missing(f"the CUDA library {library} was not found: {mend} installs it") from None
        raise _Missing(f"{what} failed ({_said(error)}): {_UPDATE_DRIVER}") from None


def _said(error: Exception) -> str:
    """Return an error's class and the first line of its message: libraries list every folder that they searched."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said[:200]}"


def _cuda() -> int:
    """Return the major version of CUDA that CuPy was built for."""
    return int(cp.cuda.runtime.runtimeGetVersion()) // 1000
