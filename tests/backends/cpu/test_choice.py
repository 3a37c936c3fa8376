"""The heap that top-k and top-p sampling sort tokens with."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends.cpu import choice


@pytest.mark.timeout(120)
def test_an_entry_sinks_until_none_below_it_is_likelier() -> None:
    keys = np.array([5.0, 1.0, 2.0, 3.0, 9.0, 4.0])
    in_place, too_low = np.array([4, 5, 2, 1, 3], np.int64), np.array([1, 4, 0, 3, 2], np.int64)
    choice._sink(keys, in_place, 0, 5)
    assert in_place.tolist() == [4, 5, 2, 1, 3]
    choice._sink(keys, too_low, 0, 5)
    assert too_low.tolist() == [4, 3, 0, 1, 2]
