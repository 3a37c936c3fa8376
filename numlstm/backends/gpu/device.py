"""Properties of the current GPU: its name, its size, and the versions of its software."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from .lazy_cupy import cp


@dataclasses.dataclass(frozen=True)
class Facts:
    """A GPU and its software.

    `sm` is the compute capability, as in sm_90; `multiprocessors` is their number; `shared_memory` is the most bytes
    that a block may request; `total_memory` is in bytes. `runtime`, `driver` and `nvrtc` are CUDA versions, as in 13.2:
    the one that CuPy was built for, the one that the driver supports, and the compiler's.
    """

    id: int
    name: str
    sm: int
    multiprocessors: int
    shared_memory: int
    total_memory: int
    runtime: str
    driver: str
    nvrtc: str
    cupy: str

    @property
    def free_memory(self) -> int:
        """The bytes that are free now, without those that CuPy's memory pool holds for reuse."""
        return int(cp.cuda.Device(self.id).mem_info[0])


def facts() -> Facts:
    """Return the properties of the current device."""
    return _facts(int(cp.cuda.Device().id))


@functools.cache
def _facts(number: int) -> Facts:
    device, runtime = cp.cuda.Device(number), cp.cuda.runtime
    properties, attributes = runtime.getDeviceProperties(number), device.attributes
    return Facts(
        id=number,
        name=_text(properties["name"]),
        sm=int(device.compute_capability),
        multiprocessors=int(attributes["MultiProcessorCount"]),
        shared_memory=int(attributes.get("MaxSharedMemoryPerBlockOptin") or attributes["MaxSharedMemoryPerBlock"]),
        total_memory=int(device.mem_info[1]),
        runtime=version(runtime.runtimeGetVersion()),
        driver=version(runtime.driverGetVersion()),
        nvrtc=".".join(map(str, cp.cuda.nvrtc.getVersion())),
        cupy=str(cp.__version__),
    )


def _text(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def version(number: int) -> str:
    """Format a CUDA version: 13020 becomes 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def describe() -> str:
    found = facts()
    return f"gpu ({found.name}, sm_{found.sm}, {found.total_memory / 2**30:.0f} GB)"
