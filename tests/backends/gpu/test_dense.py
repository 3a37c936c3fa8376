"""The GPU's dense layer, loss and device scalars, on the emulated device, against the reference in float64."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.backends.gpu import columns, dense, device_numbers
from numlstm.backends.gpu.transfer import asarray, to_numpy, zeros
from tests.backends.gpu.parameters import DTYPES, slow

ERROR = {"float64": 1e-13, "float32": 2e-6}
SHAPES = [(1, 1, 1), (9, 7, 2), (8, 33, 65), (3, 4, 1030), slow((130, 16, 33))]  # N, H, V


def drawn(seed, shapes, dtype):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def close(found, expected, dtype):
    assert found.shape == expected.shape
    assert found.dtype == dtype
    assert np.abs(found - expected).max() <= 10 * ERROR[dtype] * max(np.abs(expected).max(), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_layer_forward_and_backward(in_order, shape, dtype):
    N, H, V = shape
    h, W, b, dlogits, dW, db = drawn(1, [(N, H), (H, V), V, (N, V), (H, V), V], dtype)
    on = [asarray(each) for each in (h, W, b, dlogits, dW, db)]
    packed = dense.pack_dense(on[1], on[2])
    close(to_numpy(dense.dense_forward(on[0], packed)), reference.dense_forward(h, (W, b)), dtype)
    dh = dense.dense_backward(on[3], on[0], packed, on[4], on[5])
    h, W, b, dlogits, dW, db = (each.astype(np.float64) for each in (h, W, b, dlogits, dW, db))
    close(to_numpy(dh), reference.dense_backward(dlogits, h, (W, b), dW, db), dtype)
    close(to_numpy(on[4]), dW, dtype)
    close(to_numpy(on[5]), db, dtype)


def test_out_is_used_where_it_fits_and_an_update_of_the_weights_is_seen(device):
    h, W, b = drawn(2, [(5, 4), (4, 3), 3], "float64")
    on, out = [asarray(each) for each in (h, W, b)], zeros((5, 3), "float64")
    packed = dense.pack_dense(*on[1:])
    assert dense.dense_forward(on[0], packed, out=out) is out
    on[1][...] = asarray(2 * W)
    packed.mark_stale()
    for other in (zeros((4, 3), "float64"), zeros((5, 3), "float32"), zeros((3, 5), "float64").T):
        logits = dense.dense_forward(on[0], packed, out=other)
        assert logits is not other
        np.testing.assert_allclose(to_numpy(logits), h @ (2 * W) + b, rtol=1e-13)


def test_columns_of_many_rows(in_order):
    d, start = drawn(3, [(8500, 3), 3], "float32")
    to = asarray(start)
    columns.add_column_sums(asarray(d), to)
    np.testing.assert_allclose(to_numpy(to), start + d.astype(np.float64).sum(axis=0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 30, 1e4])
@pytest.mark.parametrize(("N", "V"), [(1, 1), (9, 2), (33, 65), (17, 1023), (3, 1024), (2, 2500)])
def test_the_loss_and_its_gradient(in_order, N, V, size, dtype):
    rng = np.random.default_rng(N + V)
    logits, targets = rng.uniform(-size, size, (N, V)).astype(dtype), rng.integers(0, V, N, np.int32)
    targets[0], targets[-1] = logits[0].argmax(), logits[-1].argmin()
    on = asarray(logits)
    loss, dlogits = dense.softmax_cross_entropy(on, asarray(targets))
    expected_loss, expected = reference.softmax_cross_entropy(logits.astype(np.float64), targets)
    assert dlogits is on, "the gradient must overwrite the logits"
    assert float(loss) == pytest.approx(expected_loss, rel=1e-6 if dtype == "float32" else 1e-13, abs=ERROR[dtype])
    assert np.abs(to_numpy(dlogits) - expected).max() <= ERROR[dtype] / N


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("V", [65, 1100])
def test_the_loss_scale_scales_the_gradient_alone(in_order, V, dtype):
    logits, targets = drawn(4, [(5, V)], dtype)[0], np.arange(5, dtype=np.int32)
    plain, expected = dense.softmax_cross_entropy(asarray(logits), asarray(targets))
    scale = asarray([1024.0, 3.0])
    loss, dlogits = dense.softmax_cross_entropy(asarray(logits), asarray(targets), scale=scale)
    assert float(loss) == float(plain)
    np.testing.assert_allclose(to_numpy(dlogits), 1024 * to_numpy(expected), rtol=1e-6)
    np.testing.assert_array_equal(to_numpy(scale), [1024.0, 3.0])


@pytest.mark.parametrize("place", [(0, 0), (3, 17), (8, -1)])
@pytest.mark.parametrize("V", [33, 1100])
def test_a_nan_makes_the_loss_nan_and_stays_in_its_row(in_order, V, place):
    logits = np.zeros((9, V), np.float32)
    logits[place] = np.nan
    loss, dlogits = dense.softmax_cross_entropy(asarray(logits), zeros(9, "int32"))
    assert np.isnan(float(loss))
    assert np.isnan(to_numpy(dlogits)[place[0]]).all()
    assert np.isfinite(np.delete(to_numpy(dlogits), place[0], axis=0)).all()


@pytest.mark.parametrize("V", [40, 1100])
def test_a_row_has_the_same_bits_among_others(device, V):
    logits, targets = drawn(5, [(12, V)], "float32")[0], np.arange(12, dtype=np.int32)
    _, together = dense.softmax_cross_entropy(asarray(logits), asarray(targets), scale=asarray([12.0, 0.0]))
    _, alone = dense.softmax_cross_entropy(asarray(logits[7:8]), asarray(targets[7:8]), scale=asarray([1.0, 0.0]))
    np.testing.assert_array_equal(to_numpy(together)[7:8], to_numpy(alone))


def test_the_order_of_threads_decides_no_bit(device):
    logits, d = drawn(6, [(300, 70), (300, 70)], "float32")
    found = []
    for device.order in (0, 1, 7):
        loss, _ = dense.softmax_cross_entropy(asarray(logits), zeros(300, "int32"))
        sums = zeros(70, "float32")
        columns.add_column_sums(asarray(d), sums)
        found.append((float(loss), to_numpy(sums).tolist()))
    assert found[0] == found[1] == found[2]


def test_reading_a_number_reads_all_that_were_queued(device):
    logits = drawn(7, [(20, 4, 5)], "float64")[0]
    losses = [dense.softmax_cross_entropy(asarray(each), zeros(4, "int32"))[0] for each in logits]
    assert device.counts.synchronisations == 0
    found = [float(loss) for loss in losses]
    assert device.counts.synchronisations == 1
    assert found == pytest.approx([reference.softmax_cross_entropy(each, [0] * 4)[0] for each in logits], rel=1e-13)
    later, _ = dense.softmax_cross_entropy(asarray(logits[3]), zeros(4, "int32"))
    assert float(losses[3]) == found[3]
    assert device.counts.synchronisations == 1, "a number was read twice"
    assert float(later) == found[3]
    assert device.counts.synchronisations == 2


def test_a_block_of_numbers_lasts_as_long_as_one_of_them(device):
    kept, size = [], 8 * device_numbers.SLOTS
    before = device.memory.used
    for n in range(3 * device_numbers.SLOTS + 1):
        number = device_numbers.Number()
        number.array.fill(n)
        if n in (5, device_numbers.SLOTS + 7):
            kept.append(number)
    del number
    assert device.memory.used == before + 3 * size, "the third block should be freed and the newest kept"
    assert [float(each) for each in kept] == [5, device_numbers.SLOTS + 7]
    del kept
    assert device.memory.used == before + size
