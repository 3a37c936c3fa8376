"""Measure the peak of this processor's float32 units: fused multiply-adds on registers alone, without loads.

No matrix product exceeds it, so a kernel's share of the peak shows how much there is left to gain. The peak varies over
time: clocks fall as the processor gets warm and other cores get busy. So it is measured in turns with the kernel that
is compared with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from numlstm.backends.cpu.simd import lanes, register_file, vector_code

from .contest import serve

# A unit needs about five results in flight, and a core has two units. A quarter of the registers is left for operands.
ACCUMULATORS = 3 * register_file()[2] // 4
_PIECE_SECONDS = 0.005  # length of a piece of work: long compared with starting it on another thread


@vector_code
def _multiply_add(emit: Any, count: Any, values: Any) -> None:
    """Apply v = v / 2 + 1 to each register's worth of `values`, `count` times."""
    places = [emit.move(values.pointer, n * emit.lanes) for n in range(ACCUMULATORS)]
    with emit.loop(count, [emit.load(place) for place in places]) as loop:
        loop.carried = [emit.fma(vec, 0.5, 1.0) for vec in loop.carried]
    for vec, place in zip(loop.carried, places, strict=True):
        emit.store(vec, place)


@numba.njit(nogil=True)
def _kernel(count, values):  # type: ignore[no-untyped-def]
    _multiply_add(count, values)


def per_second(work: Callable[[], int], seconds: float) -> float:
    """Return the operations per second of `work`, called for at least `seconds`."""
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += work()
    return done / elapsed


class Peak:
    """Multiply-adds on several threads at once. Work is counted in floating-point operations."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._values = np.zeros((threads, ACCUMULATORS * lanes(4)), np.float32)
        self._count = 1
        self.work()  # compiles
        while min(self._seconds() for _ in range(3)) < _PIECE_SECONDS:  # a single time may include scheduling delays
            self._count *= 2

    def about(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": f"{ACCUMULATORS} registers, {register_file()[0]}"}

    def work(self) -> int:
        """Do one piece of work and return its number of operations."""
        list(self._pool.map(_kernel, [self._count] * self.threads, self._values))
        return 2 * self._count * self._values.size

    def _seconds(self) -> float:
        started = time.perf_counter()
        self.work()
        return time.perf_counter() - started


TASKS = {"fma": Peak}

if __name__ == "__main__":
    serve(TASKS)
