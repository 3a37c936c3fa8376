"""Random windows: correct positions, a different order in each epoch, and no memory for the order."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numlstm.errors import ConfigError, CorpusError
from numlstm.text.dataset.streams import split
from numlstm.text.dataset.windows import Windows, permute


def numbers(count):
    ids = np.arange(count, dtype=np.uint32)
    ids.flags.writeable = False
    return ids


@st.composite
def windows(draw):
    seq_len = draw(st.integers(1, 12))
    ids = numbers(draw(st.integers(seq_len + 1, 300)))
    return Windows(ids, draw(st.integers(1, 9)), seq_len, draw(st.integers(0, 15)), 0, draw(st.integers(0, 2**63 - 1)))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5000), st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3))
def test_a_permutation_takes_each_number_to_another(count, key):
    assert np.array_equal(np.sort(permute(np.arange(count), count, tuple(key))), np.arange(count))


def test_another_key_is_another_permutation_and_none_keeps_the_order():
    found = [permute(np.arange(1000), 1000, (seed, epoch, 0)) for seed in range(3) for epoch in range(3)]
    assert len({order.tobytes() for order in found}) == 9
    for order in found:
        assert np.corrcoef(order, np.arange(1000))[0, 1] == pytest.approx(0, abs=0.12)
        assert (np.abs(np.diff(order)) <= 1).mean() < 0.01


def test_the_order_never_changes_from_one_version_to_the_next():
    """A run resumed after an upgrade must continue in the same order."""
    assert permute(np.arange(10), 10, (0, 0, 0)).tolist() == [6, 1, 7, 3, 9, 4, 5, 8, 2, 0]
    assert permute(np.arange(4), 10**10, (0, 1, 0)).tolist() == [7176542005, 4967272893, 9239024439, 7498732111]
    assert Windows(numbers(1000), 4, 20, seed=7).starts(2, 1).tolist() == [804, 304, 424, 764]


@settings(deadline=None, max_examples=50)
@given(windows())
def test_a_window_is_a_piece_of_the_text_and_its_targets_follow(data):
    inputs, targets, after = data.batch(3, 0)
    assert after == 1
    assert inputs.shape == targets.shape == (data.seq_len, data.batch_size)
    for column, start in zip(inputs.T, data.starts(3, 0), strict=True):
        assert column.tolist() == list(range(start, start + data.seq_len))
    assert np.array_equal(targets, inputs + 1)
    for array in (inputs, targets):
        assert array.dtype == np.int32
        assert array.flags.c_contiguous


@settings(deadline=None, max_examples=30)
@given(windows(), st.integers(0, 5))
def test_an_epoch_takes_no_window_twice(data, epoch):
    if data.count < data.batch_size:
        return
    starts = np.concatenate([data.starts(epoch, k) for k in range(data.size)])
    assert len(np.unique(starts)) == len(starts) == data.size * data.batch_size
    assert data.count - len(starts) < data.batch_size
    assert (np.diff(np.sort(starts)) % (data.step or data.seq_len) == 0).all()
    assert starts.min() >= 0
    assert starts.max() + data.seq_len < len(data.ids)


def test_the_first_window_starts_elsewhere_each_epoch():
    data = Windows(numbers(1000), 4, 20)
    first = {int(data.starts(epoch, 0)[0]) % 20 for epoch in range(40)}
    assert len(first) > 10


def test_the_step_decides_how_many_windows_there_are():
    assert Windows(numbers(1000), 1, 20).count == 49
    assert Windows(numbers(1000), 1, 20, step=3).count == 326
    assert Windows(numbers(1000), 1, 20, step=3).size == 326
    assert Windows(numbers(1000), 10, 20, step=3).size == 32


def test_an_epoch_of_more_steps_starts_over_in_another_order():
    data = Windows(numbers(100), 4, 10, step=30, epoch_steps=9)
    assert (data.count, data.size, data.steps_from(2)) == (3, 9, 7)
    starts = np.concatenate([data.starts(0, k) for k in range(9)]).reshape(12, 3)
    assert (np.sort(starts, axis=1) == np.sort(starts[0])).all()
    assert len({tuple(row) for row in starts}) > 3


def test_an_epoch_of_fewer_steps_takes_other_windows_each_time():
    data = Windows(numbers(10_000), 4, 10, step=1, epoch_steps=5)
    seen = [set(np.concatenate([data.starts(epoch, k) for k in range(5)])) for epoch in range(2)]
    assert len(seen[0] & seen[1]) < 3


def test_the_seed_and_the_epoch_decide_all():
    def read(seed, epoch):
        return Windows(numbers(1000), 4, 10, seed=seed).batch(epoch, 2)[0].tolist()

    assert read(1, 1) == read(1, 1)
    assert read(1, 1) != read(2, 1)
    assert read(1, 1) != read(1, 2)


def test_ten_thousand_million_windows_take_no_memory():
    ids = np.broadcast_to(np.uint8(7), 10**10)
    tracemalloc.start()
    try:
        inputs, _, _ = Windows(ids, 16, 64, step=1).batch(2, 10**7)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert inputs.shape == (64, 16)


def test_training_never_sees_validation():
    train, val = split(numbers(1000), 0.1)
    data = Windows(train, 7, 5, step=1)
    seen = np.concatenate([data.batch(epoch, k)[1].ravel() for epoch in range(2) for k in range(data.size)])
    assert not np.isin(seen, val).any()
    assert seen.max() == len(train) - 1


def test_too_short_a_text_says_what_to_lower():
    with pytest.raises(CorpusError, match=r"has 8 tokens.*at least 9; lower `seq_len`"):
        Windows(numbers(8), 4, 8)
    assert Windows(numbers(9), 4, 8).batch(0, 0)[1][-1].tolist() == [8] * 4
    with pytest.raises(ConfigError, match="batch_size"):
        Windows(numbers(9), 0, 8)
