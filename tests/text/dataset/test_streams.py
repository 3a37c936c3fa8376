"""Splitting and streaming, checked against loops over single positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.errors import ConfigError, CorpusError
from numlstm.text.dataset.streams import Streams, split

sizes = st.integers(1, 12)


def numbers(count: int, dtype: str = "uint32") -> np.ndarray:
    ids = np.arange(count, dtype=dtype)
    ids.flags.writeable = False
    return ids


@st.composite
def streams(draw) -> Streams:
    batch_size = draw(sizes)
    return Streams(numbers(draw(st.integers(batch_size + 1, 200))), batch_size, draw(sizes))


@given(st.integers(0, 300), st.floats(0.0, 1.0, exclude_max=True))
def test_split_parts_join_to_the_whole_and_do_not_overlap(count, val_split):
    ids = numbers(count)
    train, val = split(ids, val_split)
    assert np.array_equal(np.concatenate([train, val]), ids)
    assert abs(len(val) - count * val_split) <= 0.5
    assert not np.shares_memory(train, val)


def test_split_copies_nothing():
    ids = numbers(100)
    train, val = split(ids, 0.1)
    assert (len(train), len(val)) == (90, 10)
    assert np.shares_memory(train, ids)
    assert np.shares_memory(val, ids)


def test_split_of_nothing_to_validate_on_keeps_all():
    train, val = split(numbers(7), 0.0)
    assert (len(train), len(val)) == (7, 0)


@pytest.mark.parametrize("val_split", [-0.1, 1.0, 2.0, float("nan")])
def test_split_out_of_range_is_refused(val_split):
    with pytest.raises(ConfigError, match="val_split"):
        split(numbers(10), val_split)


@given(streams())
def test_every_position_is_predicted_exactly_once(data):
    targets = np.concatenate([data.window(k)[1].ravel() for k in range(data.steps_per_epoch)])
    assert sorted(targets) == list(range(1, data.tokens_per_epoch + 1))
    assert len(data.ids) - 1 - data.tokens_per_epoch < data.batch_size


@given(streams())
def test_each_stream_goes_on_where_its_last_window_ended(data):
    inputs = np.concatenate([data.window(k)[0] for k in range(data.steps_per_epoch)])
    for b in range(data.batch_size):
        assert inputs[:, b].tolist() == list(range(b * data.length, (b + 1) * data.length))


@given(streams())
def test_targets_are_the_ids_that_follow(data):
    for k in range(data.steps_per_epoch):
        inputs, targets = data.window(k)
        assert np.array_equal(targets, inputs + 1)


@given(streams())
def test_windows_are_full_but_the_last(data):
    lengths = [len(data.window(k)[0]) for k in range(data.steps_per_epoch)]
    assert all(length == data.seq_len for length in lengths[:-1])
    assert 1 <= lengths[-1] <= data.seq_len
    assert sum(lengths) == data.length


@given(streams())
def test_windows_are_time_major_int32_in_order(data):
    for array in data.window(0):
        assert array.dtype == np.int32
        assert array.flags.c_contiguous
        assert array.shape[1] == data.batch_size


def test_training_never_sees_validation():
    train, val = split(numbers(1000), 0.1)
    data = Streams(train, 7, 5)
    seen = np.concatenate([np.concatenate(data.window(k)).ravel() for k in range(data.steps_per_epoch)])
    assert not np.isin(seen, val).any()
    assert seen.max() == len(train) - 1 - (len(train) - 1) % 7


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int64"])
def test_any_dtype_gives_windows_of_its_own_memory(dtype):
    ids = numbers(10, dtype).copy()
    inputs, targets = Streams(ids, 1, 9).window(0)
    ids[:] = 0
    assert inputs.ravel().tolist() == list(range(9))
    assert targets.ravel().tolist() == list(range(1, 10))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_window_of_one_column_or_one_row_owns_its_memory(batch_size):
    ids = np.arange(9, dtype=np.int32)  # already int32: a conversion alone would give a view
    inputs, targets = Streams(ids, batch_size, 1).window(0)
    assert not np.shares_memory(inputs, ids)
    assert not np.shares_memory(targets, ids)


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_window_outside_the_epoch_is_an_index_error(index):
    with pytest.raises(IndexError, match="an epoch of 3"):
        Streams(numbers(25), 2, 5).window(index)


@pytest.mark.parametrize(("count", "batch_size"), [(0, 1), (1, 1), (4, 4), (32, 32)])
def test_too_short_a_text_says_what_to_lower(count, batch_size):
    with pytest.raises(CorpusError, match=f"has {count} tokens.*at least {batch_size + 1}; lower `batch_size`"):
        Streams(numbers(count), batch_size, 8)


def test_shortest_text_gives_one_position_per_stream():
    data = Streams(numbers(5), 4, 8)
    assert (data.length, data.steps_per_epoch, data.tokens_per_epoch) == (1, 1, 4)
    assert data.window(0)[1].tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(("batch_size", "seq_len", "name"), [(0, 1, "batch_size"), (1, 0, "seq_len")])
def test_size_below_one_is_refused(batch_size, seq_len, name):
    with pytest.raises(ConfigError, match=name):
        Streams(numbers(9), batch_size, seq_len)
