"""A made-up card: the facts about a device that CuPy reports and the package's decisions depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.emulation.memory import Memory
from tests.emulation.streams import Stream


@dataclass
class Card:
    """The emulated card's facts; tests may change them within `emulated()`."""

    name: str = "Emulated card"
    sm: int = 90
    processors: int = 132
    shared_per_block: int = 227 * 1024  # bytes, for a kernel that requests them
    shared_per_processor: int = 228 * 1024
    memory: int = 2**30
    driver: int = 13000
    runtime: int = 13000
    devices: int = 1

    def attributes(self) -> dict[str, int]:
        """Return `cupy.cuda.Device().attributes`, limited to those that code may depend on."""
        return {
            "ComputeCapabilityMajor": self.sm // 10,
            "ComputeCapabilityMinor": self.sm % 10,
            "MultiProcessorCount": self.processors,
            "MaxThreadsPerBlock": 1024,
            "MaxThreadsPerMultiProcessor": 2048,
            "MaxSharedMemoryPerBlock": 48 * 1024,
            "MaxSharedMemoryPerBlockOptin": self.shared_per_block,
            "MaxSharedMemoryPerMultiprocessor": self.shared_per_processor,
            "ReservedSharedMemoryPerBlock": 1024,
            "MaxRegistersPerBlock": 65536,
            "MaxRegistersPerMultiprocessor": 65536,
            "MaxGridDimX": 2**31 - 1,
            "MaxGridDimY": 65535,
            "MaxGridDimZ": 65535,
            "WarpSize": 32,
            "L2CacheSize": 50 * 2**20,
            "ClockRate": 1_980_000,
            "MemoryClockRate": 2_619_000,
            "GlobalMemoryBusWidth": 5120,
        }

    def properties(self) -> dict[str, Any]:
        """Return the result of `cupy.cuda.runtime.getDeviceProperties`, limited to facts that code may depend on."""
        return {
            "name": self.name.encode(),
            "totalGlobalMem": self.memory,
            "major": self.sm // 10,
            "minor": self.sm % 10,
            "multiProcessorCount": self.processors,
            "sharedMemPerBlock": 48 * 1024,
            "sharedMemPerBlockOptin": self.shared_per_block,
            "sharedMemPerMultiprocessor": self.shared_per_processor,
            "regsPerBlock": 65536,
            "warpSize": 32,
            "maxThreadsPerBlock": 1024,
            "l2CacheSize": 50 * 2**20,
            "integrated": 0,
        }


def device_class(card: Card, memory: Memory, no_device: Any) -> type:
    """Return a stand-in for `cupy.cuda.Device`. `no_device()` creates the error for an invalid device number."""

    class Device:
        def __init__(self, device: Any = None) -> None:
            self.id = 0 if device is None else int(device)
            if not 0 <= self.id < card.devices:
                raise no_device()

        def __int__(self) -> int:
            return self.id

        def __enter__(self) -> Device:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def __repr__(self) -> str:
            return f"<CUDA Device {self.id}>"

        def use(self) -> Device:
            return self

        def synchronize(self) -> None:
            Stream.current.synchronize()

        @property
        def attributes(self) -> dict[str, int]:
            return card.attributes()

        @property
        def compute_capability(self) -> str:
            return str(card.sm)

        @property
        def mem_info(self) -> tuple[int, int]:
            return card.memory - memory.used, card.memory

    return Device
