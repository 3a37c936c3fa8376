"""Measure the peak of this processor's tiles (AMX): products of bf16 numbers on tile registers alone, without loads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

from numlstm.backends.cpu import processor, tiles
from numlstm.backends.cpu.simd import vector_code

from .contest import AbsentError, serve

_SUMS, _LEFT, _RIGHT = (0, 1, 2, 3), (4, 5), (6, 7)  # tile registers: two by two products, as a matrix product has them
_FLOP = len(_SUMS) * 2 * tiles.ROWS * tiles.COLUMNS * (tiles.ROW_BYTES // 2)  # in one round
_PIECE_SECONDS = 0.005  # length of a piece of work


def missing() -> str:
    """Return "" if this process may use real tiles, else what is missing."""
    return "tiles are emulated" if processor.tiles_emulated() else processor.tiles_missing()


@vector_code
def _multiply_tiles(emit, config, count):  # type: ignore[no-untyped-def]
    """Multiply two tiles by two others, `count` times; all tiles are zero at first."""
    registers = tiles.Tiles(emit, config)
    for register in (*_SUMS, *_LEFT, *_RIGHT):
        registers.zero(register)
    with emit.loop(count):
        for n, sums in enumerate(_SUMS):
            registers.dot(sums, _LEFT[n // 2], _RIGHT[n % 2])


@numba.njit(nogil=True)
def _kernel(count, config):  # type: ignore[no-untyped-def]
    tiles.configure(config)
    _multiply_tiles(config, count)
    tiles.release(config)


class TilePeak:
    """Products of tiles on several threads at once. Work is counted in floating-point operations."""

    def __init__(self, threads: int) -> None:
        if reason := missing():
            raise AbsentError(reason)
        self.threads, self._count = threads, 1
        self._pool = ThreadPoolExecutor(threads)
        self.work()  # compiles
        while min(self._seconds() for _ in range(3)) < _PIECE_SECONDS:  # a single time may include scheduling delays
            self._count *= 2

    def about(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": "tiles of bf16 numbers"}

    def work(self) -> int:
        """Do one piece of work and return its number of operations."""
        configs = [tiles.PALETTES[tiles.ROWS]] * self.threads
        list(self._pool.map(_kernel, [self._count] * self.threads, configs))
        return _FLOP * self._count * self.threads

    def _seconds(self) -> float:
        started = time.perf_counter()
        self.work()
        return time.perf_counter() - started


TASKS = {"tiles": TilePeak}

if __name__ == "__main__":
    serve(TASKS)
