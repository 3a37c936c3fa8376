"""Copying arrays and texts to the GPU and back, on the emulated device."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends.gpu import transfer
from numlstm.backends.gpu.transfer import asarray, hold, to_numpy, window, zeros
from numlstm.backends.spec import host_text
from tests.emulation import streams

pytestmark = pytest.mark.usefixtures("device")


@pytest.mark.parametrize("dtype", [None, "float32", "float64", "int32", "int64"])
@pytest.mark.parametrize(
    "values",
    [3, 2.5, [1, 2], [], np.zeros((0, 3)), np.arange(6.0).reshape(2, 3), np.arange(24).reshape(2, 3, 4).T[::2]],
    ids=lambda values: str(np.shape(values)),
)
def test_arrays_come_as_numpy_makes_them(values, dtype):
    expected = np.array(values, dtype)
    found = asarray(values, dtype)
    assert found.flags.c_contiguous
    assert to_numpy(found).dtype == expected.dtype
    np.testing.assert_array_equal(to_numpy(found), expected)


def test_copies_wait_for_nothing_and_their_sources_may_change_at_once(device):
    sent, values = [], np.zeros(1000, np.float32)
    for n in range(50):
        values[...] = n
        sent.append(asarray(values))
    values[...] = -1
    assert device.counts.synchronisations == 0
    for n, array in enumerate(sent):
        np.testing.assert_array_equal(to_numpy(array), np.float32(n))


def test_pinned_memory_is_used_again_only_when_it_was_read(device, monkeypatch):
    """Arrays of many sizes, far more than the ring holds, on a device that does no work until the host waits."""
    monkeypatch.setattr(streams.Event, "done", property(lambda self: False))
    monkeypatch.setattr(transfer, "RING", 8192)
    monkeypatch.setattr(transfer, "PIECE", 2048)
    rng = np.random.default_rng(0)
    values = [rng.integers(0, 256, rng.integers(1, 5000), np.uint8) for _ in range(60)]
    sent = [asarray(each) for each in values]
    assert device.counts.synchronisations > 0, "the ring never filled up"
    for found, expected in zip(sent, values, strict=True):
        np.testing.assert_array_equal(to_numpy(found), expected)


def test_large_arrays_go_in_pieces(device, monkeypatch):
    monkeypatch.setattr(transfer, "PIECE", 1000)
    values = np.random.default_rng(1).standard_normal((70, 11))
    found = asarray(values)
    assert device.counts.uploads == 7
    np.testing.assert_array_equal(to_numpy(found), values)


def test_device_arrays_are_copied_and_converted():
    values = np.array([[0.1, -2.0], [1e9, 7.5]])
    on = asarray(values)
    same, other, part = asarray(on), asarray(on, "float32"), asarray(on[:, 1])
    on[...] = 5.0
    np.testing.assert_array_equal(to_numpy(same), values)
    np.testing.assert_array_equal(to_numpy(part), values[:, 1])
    assert other.dtype == np.float32
    np.testing.assert_array_equal(to_numpy(other), values.astype(np.float32))


def test_what_comes_back_is_a_copy():
    on = zeros((2, 3), "float32")
    back = to_numpy(on)
    assert back.dtype == np.float32
    assert back.shape == (2, 3)
    back[...] = 1
    assert not to_numpy(on).any()
    here = np.ones(3)
    to_numpy(here)[...] = 2
    assert here.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", transfer.TOKENS)
def test_windows_of_a_held_text(device, dtype):
    ids = np.random.default_rng(2).integers(0, 250, 5000).astype(dtype)
    if dtype != "uint8":
        ids[::3] += 60_000
    text = hold(ids)
    for device.order in (0, 1, 7):
        for starts, length in (([0], 1), ([4990], 9), ([17, 3, 4000, 17], 100), (range(0, 900, 3), 2)):
            starts = np.array(starts, np.int64)
            expected = host_text.window(ids, starts, length)
            for found, right in zip(window(text, starts, length), expected, strict=True):
                assert found.dtype == np.int32
                np.testing.assert_array_equal(to_numpy(found), right)


def test_a_text_mapped_from_a_file(tmp_path):
    np.save(tmp_path / "ids.npy", np.arange(3000, dtype=np.uint16))
    text = hold(np.load(tmp_path / "ids.npy", mmap_mode="r"))
    np.testing.assert_array_equal(to_numpy(text), np.arange(3000))


def test_a_text_that_takes_too_much_of_the_memory_is_not_held(device):
    free = 40_000
    device.card.memory = device.memory.used + free
    assert hold(np.zeros(free // 4 + 1, np.uint8)) is None
    assert hold(np.zeros(free // 8 + 1, np.uint16)) is None
    assert hold(np.zeros(free // 4, np.uint8)) is not None


def test_a_text_of_64_bits_a_token_stays_where_it_is():
    assert hold(np.zeros(4, np.int64)) is None


def test_memory_that_is_used_up_is_a_memory_error(device):
    device.memory.capacity = device.memory.used + 1000
    with pytest.raises(MemoryError):
        asarray(np.zeros(1001, np.uint8))
