"""The most that this processor's float32 units can do: fused multiply-adds on registers alone, nothing loaded.

No product of matrices gets above it, so a kernel's share of it says how much there is left to gain. It belongs to
the moment: clocks fall as processors get warm and neighbours busy, so it is measured in turns with whatever is
compared with it. Knows nothing about what that is.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from numlstm.backends.cpu.simd import lanes, register_file, vector_code

from .contest import serve

# A unit needs about five results under way at once and a core has two units; a quarter of the registers is left for
# the operands.
ACCUMULATORS = 3 * register_file()[2] // 4
_PIECE_SECONDS = 0.005  # a piece of work: long beside what starting it on another thread takes


@vector_code
def _multiply_add(emit: Any, count: Any, values: Any) -> None:
    """Replace each register's worth of `values` by half of it plus one, `count` times."""
    places = [emit.move(values.pointer, n * emit.lanes) for n in range(ACCUMULATORS)]
    with emit.loop(count, [emit.load(place) for place in places]) as loop:
        loop.carried = [emit.fma(vec, 0.5, 1.0) for vec in loop.carried]
    for vec, place in zip(loop.carried, places, strict=True):
        emit.store(vec, place)


@numba.njit(nogil=True)
def _kernel(count, values):  # type: ignore[no-untyped-def]
    _multiply_add(count, values)


class Peak:
    """Multiply-adds on so many threads at once. Its work is counted in floating-point operations."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._values = np.zeros((threads, ACCUMULATORS * lanes(4)), np.float32)
        self._count = 1
        self.work()  # compiles
        while min(self._seconds() for _ in range(3)) < _PIECE_SECONDS:  # one alone may have had to wait its turn
            self._count *= 2

    def about(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": f"{ACCUMULATORS} registers, {register_file()[0]}"}

    def work(self) -> int:
        """Do one piece and return how many operations it had."""
        list(self._pool.map(_kernel, [self._count] * self.threads, self._values))
        return 2 * self._count * self._values.size

    def per_second(self, seconds: float) -> float:
        """Return operations per second, measured for at least so long."""
        done, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            done += self.work()
        return done / elapsed

    def _seconds(self) -> float:
        started = time.perf_counter()
        self.work()
        return time.perf_counter() - started


TASKS = {"fma": Peak}

if __name__ == "__main__":
    serve(TASKS)
