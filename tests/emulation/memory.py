"""The memory of an emulated device, in host memory, used by real `cupy.ndarray`s.

New memory is filled with NaN, and so is freed memory once the stream reaches that point. Writes beyond the end of an
allocation are detected.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Callable

from cupy.cuda import memory
from cupy.cuda.memory import OutOfMemoryError

from tests.emulation.library import EmulationError

POISON = 0xFF  # as a float or a double: NaN
GUARD = 256  # bytes after an allocation that must not change
KEPT = 32 * 2**20  # bytes of freed memory not reused yet, so that reads after free return NaN
ALIGNMENT = 512

_libc = ctypes.CDLL(None)
_libc.posix_memalign.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]


class Memory:
    """The allocations of a device with `capacity` bytes. `later` queues work on the stream."""

    def __init__(self, later: Callable[[Callable[[], None]], None], capacity: int, guard: int = GUARD) -> None:
        self.capacity, self.used, self.faults = capacity, 0, list[str]()
        self._later, self._guard = later, guard
        self._live: dict[int, int] = {}
        self._freed: OrderedDict[int, int] = OrderedDict()

    def allocate(self, size: int) -> memory.MemoryPointer:
        """Allocate memory, with the interface of CuPy's allocators. Raises `OutOfMemoryError` beyond the capacity."""
        if self.used + size > self.capacity:
            raise OutOfMemoryError(size, self.used, self.capacity)
        at = ctypes.c_void_p()
        if _libc.posix_memalign(ctypes.byref(at), ALIGNMENT, max(size + self._guard, 1)):
            raise MemoryError(f"cannot allocate {size} bytes for the emulated device")
        assert at.value is not None
        ctypes.memset(at.value, POISON, size + self._guard)
        self._live[at.value] = size
        self.used += size
        return memory.MemoryPointer(memory.UnownedMemory(at.value, size, _Owner(self, at.value), 0), 0)

    def freed(self, address: int) -> None:
        """Free memory: it counts as free at once, and is overwritten in stream order."""
        size = self._live.pop(address)
        self.used -= size
        self._later(lambda: self._retire(address, size))

    def _retire(self, address: int, size: int) -> None:
        if ctypes.string_at(address + size, self._guard) != bytes([POISON]) * self._guard:
            self.faults.append(f"written beyond the end of an allocation of {size} bytes")
        ctypes.memset(address, POISON, size)
        self._freed[address] = size + self._guard
        while self._freed and sum(self._freed.values()) > (KEPT if self._guard else 0):
            _libc.free(self._freed.popitem(last=False)[0])

    def expect(self, address: int, size: int, what: str) -> None:
        """Raise `EmulationError` unless these bytes lie within one allocation."""
        if size and not any(start <= address and address + size <= start + n for start, n in self._live.items()):
            raise EmulationError(f"{what}: {size} bytes that are not within one array of the device")

    def check(self) -> None:
        """Raise `EmulationError` if anything was written beyond the end of an allocation."""
        for address, size in self._live.items():
            if ctypes.string_at(address + size, self._guard) != bytes([POISON]) * self._guard:
                self.faults.append(f"written beyond the end of an allocation of {size} bytes")
        if self.faults:
            raise EmulationError("; ".join(self.faults))


class _Owner:
    """Frees its memory when the last array that uses it is gone."""

    def __init__(self, held: Memory, address: int) -> None:
        self._held, self._address = held, address

    def __del__(self) -> None:
        self._held.freed(self._address)
