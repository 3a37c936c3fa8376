"""`benchmarks.peak` does all its multiply-adds, on each thread."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import peak
from numlstm.backends.cpu.simd import lanes


@pytest.mark.parametrize("threads", [1, 2])
def test_each_thread_works_on_all_its_registers(threads: int) -> None:
    found = peak.Peak(threads)
    found._values[...] = 0
    found._count = 100
    assert found.work() == 2 * 100 * threads * peak.ACCUMULATORS * lanes(4)
    np.testing.assert_array_equal(found._values, 2)  # the limit of v / 2 + 1
    assert peak.per_second(found.work, 0.001) > 1e6
    assert found.about()["threads"] == threads
