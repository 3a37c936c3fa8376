"""Numbers that kernels leave on the device, such as a step's loss, and that the host reads on demand.

Reading a number waits for the device, so it also fetches all numbers queued so far in the same block: reading the
losses and norms of many steps waits once.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from ..protocol import Array
from .lazy_cupy import cp
from .transfer import to_numpy

SUMS = (256,)  # threads per block in kernels/sums.cu, whose kernels write the numbers
SUMS_SHARED = 256 * 8  # bytes of shared memory per block there
SLOTS = 512  # numbers that are fetched together: a training step has two or three


class _Block:
    """Slots on the device, handed out in order, and a host copy of those read so far."""

    def __init__(self) -> None:
        self.slots = cp.empty(SLOTS, np.float64)
        self.taken = 0
        self.copy: npt.NDArray[np.float64] = np.empty(0)

    def value(self, slot: int) -> float:
        if slot >= len(self.copy):
            self.copy = to_numpy(self.slots[: self.taken])
        return float(self.copy[slot])


class Number:
    """A float64 on the device: float(number) waits for the kernel that writes it, and reads it.

    Create it right before queueing that kernel. The kernel takes `array`, a device array (1), and writes it once.
    """

    def __init__(self) -> None:
        self._block, self._slot = _block_with_room()
        self.array: Array = self._block.slots[self._slot : self._slot + 1]

    def __float__(self) -> float:
        return self._block.value(self._slot)


def _block_with_room() -> tuple[_Block, int]:
    """Take a slot of the newest block, or of a new one if that is full; older blocks live as long as their numbers."""
    if _newest().taken == SLOTS:
        _newest.cache_clear()
    block = _newest()
    block.taken += 1
    return block, block.taken - 1


@functools.cache
def _newest() -> _Block:
    return _Block()
