"""Whether a few streams are drawn faster by one thread each or by all threads, which share the weights' columns.

By columns two threads read weights from memory faster than one, but they meet after every layer. On a busy machine a
thread waits there for one that has no core, and drawing takes several times as long. The tokens are the same either
way, so both ways are tried from time to time, and the faster one is used.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

_TRIAL = 16  # tokens of a trial, for each way
_PIECE = 4  # a trial by columns ends as soon as it has taken longer than the other: checked every so many tokens
_BETWEEN = (1_000, 16_000)  # tokens from trial to trial: at first, and after trials with the same result


class Pace:
    """The way in use, `columns` or not, and the trial that decides it; `new` until something was drawn."""

    def __init__(self) -> None:
        self.new = True
        self.columns = False
        self._seconds = [0.0, 0.0]
        self._left = [_TRIAL, _TRIAL, 0]  # tokens by rows, by columns, and by the faster way until the next trial
        self._between = _BETWEEN[0]

    def draw(self, N: int, run: Callable[[int, int, bool], None]) -> None:
        """Call run(first, beyond, columns) for consecutive parts of N tokens."""
        self.new, first = False, 0
        while first < N:
            phase = next(n for n, left in enumerate(self._left) if left)
            count = min(N - first, self._left[phase], _PIECE if phase == 1 else N)
            start = time.perf_counter()
            run(first, first + count, self.columns if phase == 2 else phase == 1)
            self._record(phase, count, time.perf_counter() - start)
            first += count

    def _record(self, phase: int, count: int, seconds: float) -> None:
        self._left[phase] -= count
        if phase == 2:
            if not self._left[2]:
                self._left, self._seconds = [_TRIAL, _TRIAL, 0], [0.0, 0.0]
            return
        self._seconds[phase] += seconds
        slower = self._seconds[1] > self._seconds[0]
        if phase == 1 and (slower or not self._left[1]):
            changed = self.columns == slower
            self.columns = not slower
            self._between = _BETWEEN[0] if changed else min(2 * self._between, _BETWEEN[1])
            self._left = [0, 0, self._between]


@functools.lru_cache(maxsize=64)
def pace_of(nbytes: int, B: int, threads: int) -> Pace:
    """Return the pace of B streams of networks whose weights take `nbytes`."""
    return Pace()
