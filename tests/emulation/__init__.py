"""An emulated CUDA device in host memory, for machines without one; the package's own code runs on it unchanged.

`emulated()` replaces the parts of CuPy that need a device. Arrays are still real `cupy.ndarray`s, and kernels are
compiled by g++ (`compiled.py`, `cuda.h`). Operations that are not emulated raise CuPy's own `CUDARuntimeError`.

It reveals wrong formulas, indices, layouts, argument types and lifetimes, missing barriers and missing waits. It says
nothing about cuBLAS itself, the driver, the last bits of the device's math functions, its memory model or its speed.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest import mock

from numlstm.backends.gpu import lazy_cupy
from tests.emulation.compiled import Kernel, Launched, kernels
from tests.emulation.library import EmulationError, flags_asked_for
from tests.emulation.library import missing as _missing_compiler

__all__ = ["Emulation", "EmulationError", "Kernel", "Launched", "emulated", "kernels", "missing"]
PACKAGE = "numlstm.backends.gpu"


def missing() -> str:
    """Return "" if a device can be emulated here, else what is missing."""
    if not sys.platform.startswith("linux"):
        return "the emulation of CUDA needs Linux"
    try:
        lazy_cupy.cp.ndarray  # noqa: B018
    except ImportError:
        return "CuPy is not installed"
    return _missing_compiler()


class Emulation:
    """An emulated device, valid within `emulated()`.

    `card` describes the device, `memory.capacity` is its memory in bytes, and `order` is the order in which the threads
    of a block run (0 ascending, 1 descending, others: the seed of a shuffle). `counts` and `launches` record its use.
    """

    def __init__(self, flags: tuple[str, ...]) -> None:
        from tests.emulation.device import Card
        from tests.emulation.memory import GUARD, Memory
        from tests.emulation.streams import Stream

        self.flags, self.order, self.card = flags, 0, Card()
        self.launches: set[Launched] = set()
        sanitized = any("address" in flag for flag in flags)  # AddressSanitizer guards what malloc returns
        self.memory = Memory(lambda work: Stream.current.later(work), self.card.memory, 0 if sanitized else GUARD)

    @property
    def counts(self) -> Any:
        """How often the host synchronised, launched, multiplied and uploaded."""
        from tests.emulation.streams import Stream

        return Stream.counts

    def module(self, code: str, *, options: tuple[str, ...] = (), backend: str = "nvrtc") -> _Module:
        """Stand in for `cupy.RawModule`."""
        return _Module(self, code, tuple(options))

    def finish(self) -> None:
        """Run the queued work. Raises `EmulationError` for memory faults found so far."""
        from tests.emulation.streams import Stream

        Stream.current.drain()
        self.memory.check()


class _Module:
    def __init__(self, emulation: Emulation, code: str, options: tuple[str, ...]) -> None:
        self._emulation, self._code, self._options = emulation, code, options

    def get_function(self, name: str) -> _Function:
        return _Function(self._emulation, self._code, name, self._options)


class _Function(Kernel):
    """A kernel that a call queues on the given or the current stream."""

    def __init__(self, emulation: Emulation, code: str, name: str, options: tuple[str, ...]) -> None:
        super().__init__(code, name, options, emulation.flags, shared_limit=emulation.card.shared_per_block)
        self._emulation = emulation

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0, stream: Any = None) -> None:
        import cupy

        from tests.emulation.streams import Stream

        for n, given in enumerate(args):
            if hasattr(given, "dtype") and getattr(given, "ndim", 0) and not isinstance(given, cupy.ndarray):
                raise TypeError(f"{self.name}, argument {n}: a {type(given).__name__}, which is not on the device")
        run = self.bind(grid, block, args, shared_mem=shared_mem, order=self._emulation.order)
        Stream.counts.launches += 1
        self._emulation.launches.add(Launched(self.name, self.options, tuple(grid), tuple(block), shared_mem))
        (stream or Stream.current).later(run)


@contextlib.contextmanager
def emulated(flags: tuple[str, ...] | None = None) -> Iterator[Emulation]:
    """Context manager: replace CuPy's device by an emulated one and clear the package's caches about the device.

    Kernels are compiled with the g++ flags `flags`, by default those in `NUMLSTM_EMULATION_FLAGS`.
    """
    import cupy
    from cupy.cuda import memory

    from tests.emulation import streams

    streams.reset()
    emulation = Emulation(flags_asked_for() if flags is None else flags)
    before = memory.get_allocator()
    with contextlib.ExitStack() as stack:
        for target, name, value in _replacements(emulation):
            stack.enter_context(mock.patch.object(target, name, value))
        stack.callback(_forget)
        stack.callback(cupy.cuda.set_allocator, before)
        _forget()
        cupy.cuda.set_allocator(emulation.memory.allocate)
        yield emulation
        emulation.finish()


def _replacements(emulation: Emulation) -> Iterator[tuple[Any, str, Any]]:
    """Yield each replacement in CuPy: the object, its attribute, the new value."""
    import cupy
    from cupy.cuda import device, runtime

    from tests.emulation import arrays, cublas, streams
    from tests.emulation.device import device_class

    card = emulation.card
    _cublas_importable(cupy.cuda)
    for name, method in arrays.METHODS.items():
        yield cupy.ndarray, name, method
    yield cupy, "zeros", arrays.zeros
    yield cupy, "RawModule", emulation.module
    yield cupy.cuda, "Stream", streams.Stream
    yield cupy.cuda, "Event", streams.Event
    yield cupy.cuda, "get_current_stream", lambda: streams.Stream.current
    yield cupy.cuda, "get_elapsed_time", streams.get_elapsed_time
    yield cupy.cuda, "alloc_pinned_memory", arrays.alloc_pinned_memory
    yield cupy.cuda, "is_available", lambda: card.devices > 0
    yield cupy.cuda, "cublas", cublas.module(emulation.memory)
    yield device, "get_cublas_handle", lambda: cublas.HANDLE
    yield cupy.cuda, "Device", device_class(card, emulation.memory, lambda: runtime.CUDARuntimeError(101))
    yield runtime, "driverGetVersion", lambda: card.driver
    yield runtime, "runtimeGetVersion", lambda: card.runtime
    yield runtime, "getDeviceCount", lambda: card.devices
    yield runtime, "getDeviceProperties", lambda device: card.properties()
    yield runtime, "memGetInfo", lambda: (card.memory - emulation.memory.used, card.memory)


def _cublas_importable(cuda: ModuleType) -> None:
    """Give `cupy.cuda` an attribute `cublas` to replace; without cuBLAS, reading it raises."""
    if "cublas" not in vars(cuda):
        with contextlib.suppress(ImportError):
            getattr(cuda, "cublas")  # noqa: B009
        if "cublas" not in vars(cuda):
            cuda.__dict__["cublas"] = None


def _forget() -> None:
    """Clear the function caches of the package's GPU modules, which hold facts about the device."""
    for name, module in list(sys.modules.items()):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()
