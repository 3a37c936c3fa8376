"""Numbers that kernels leave on the device, such as a step's loss, and that are read there when someone asks.

Reading waits for the device, so a read fetches all numbers that were queued beside the one asked for: whoever reads the
losses and norms of many steps waits once. Knows nothing about what they mean.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from ..protocol import Array
from .lazy_cupy import cp
from .transfer import to_numpy

SUMS = (256,)  # threads of the blocks of kernels/sums.cu, which write numbers,
SUMS_SHARED = 256 * 8  # and the bytes of their shared memory
SLOTS = 512  # numbers that are fetched together: two or three for each training step


class _Block:
    """Slots on the device, given out one after the other, and a copy of those that were read."""

    def __init__(self) -> None:
        self.slots = cp.empty(SLOTS, np.float64)
        self.taken = 0
        self.copy: npt.NDArray[np.float64] = np.empty(0)

    def value(self, slot: int) -> float:
        if slot >= len(self.copy):
            self.copy = to_numpy(self.slots[: self.taken])
        return float(self.copy[slot])


class Number:
    """A float64 on the device: float(number) reads it, and waits for the kernel that writes it.

    To be made right before that kernel is queued, which is handed `array`, a device array (1), and writes it once.
    """

    def __init__(self) -> None:
        self._block, self._slot = _block_with_room()
        self.array: Array = self._block.slots[self._slot : self._slot + 1]

    def __float__(self) -> float:
        return self._block.value(self._slot)


def _block_with_room() -> tuple[_Block, int]:
    """Take a slot of the newest block, of a new one if it is full; older blocks last as long as their numbers."""
    if _newest().taken == SLOTS:
        _newest.cache_clear()
    block = _newest()
    block.taken += 1
    return block, block.taken - 1


@functools.cache
def _newest() -> _Block:
    return _Block()
