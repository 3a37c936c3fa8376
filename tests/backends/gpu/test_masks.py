"""The GPU's dropout and embedding, on the emulated device, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.backends.gpu import masks
from numlstm.backends.gpu.transfer import asarray, to_numpy, zeros
from numlstm.backends.spec.dropout import Mask
from tests.backends.gpu.parameters import DTYPES, slow

MASKS = [Mask(0.3, 2**40 + 7, 2**33 + 5, 3), Mask(0.9999999999, 1, 0, 0), Mask(1e-9, 0, 4, 2)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (7, 11, 20)], ids=str)
def test_dropout_is_the_reference_s_bit_by_bit(in_order, shape, mask, dtype):
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    expected = reference.dropout(x, mask)
    on, out = asarray(x), zeros(shape, dtype)
    np.testing.assert_array_equal(to_numpy(masks.dropout(on, mask)), expected)
    np.testing.assert_array_equal(to_numpy(on), x)
    assert masks.dropout(on, mask, out=out) is out
    assert masks.dropout(on, mask, out=on) is on
    np.testing.assert_array_equal(to_numpy(on), expected)
    np.testing.assert_array_equal(to_numpy(out), expected)
    np.testing.assert_array_equal(to_numpy(masks.factors(mask, shape, dtype)), mask.factors(shape, dtype))


def test_dropout_of_a_part_of_an_array_and_into_what_does_not_fit(device):
    x, mask = np.random.default_rng(2).standard_normal((4, 3, 8)), MASKS[0]
    expected = reference.dropout(x[:, :, :5], mask)
    for out in (None, zeros((4, 3, 6), "float64"), zeros((4, 3, 5), "float32"), zeros((5, 3, 4), "float64").T):
        found = masks.dropout(asarray(x)[:, :, :5], mask, out=out)
        assert out is None or found is not out
        np.testing.assert_array_equal(to_numpy(found), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("T", "B", "V", "E"), [(1, 1, 1, 1), (3, 4, 5, 33), slow(6, 100, 9, 130), slow(5, 3, 700, 40), (20, 10, 2061, 3)]
)
def test_an_embedding(in_order, T, B, V, E, dtype):
    rng = np.random.default_rng(V + E)
    ids = rng.integers(0, V, (T, B), np.int32)
    ids[0, 0], ids[-1, -1] = V - 1, 0
    W, dx, dW = (rng.standard_normal(shape).astype(dtype) for shape in ((V, E), (T, B, E), (V, E)))
    np.testing.assert_array_equal(to_numpy(masks.embed(asarray(ids), asarray(W))), W[ids])
    found = asarray(dW)
    masks.embed_backward(asarray(dx), asarray(ids), found)
    expected = dW.astype(np.float64)
    reference.embed_backward(dx.astype(np.float64), ids, expected)
    np.testing.assert_allclose(to_numpy(found), expected, rtol=0, atol=1e-12 if dtype == "float64" else 3e-5)
    never = np.setdiff1d(np.arange(V), ids)
    np.testing.assert_array_equal(to_numpy(found)[never], dW[never])


@pytest.mark.parametrize(("V", "B"), [(4, 2500), slow(masks.FEW + 1, 310)])
def test_one_token_more_often_than_a_warp_notes(in_order, V, B):
    ids, dx, dW = np.full((1, B), 2, np.int32), np.ones((1, B, 3), np.float32), zeros((V, 3), "float32")
    ids[0, ::10] = 3
    masks.embed_backward(asarray(dx), asarray(ids), dW)
    np.testing.assert_array_equal(to_numpy(dW)[:4], [[0] * 3, [0] * 3, [B - B // 10] * 3, [B // 10] * 3])
    assert not to_numpy(dW)[4:].any()


def test_the_order_of_threads_decides_no_bit_of_an_embedding_s_gradient(device):
    rng = np.random.default_rng(3)
    ids, dx, found = rng.integers(0, 3, (9, 80), np.int32), rng.standard_normal((9, 80, 5)).astype(np.float32), []
    for device.order in (0, 1, 7):
        dW = zeros((3, 5), "float32")
        masks.embed_backward(asarray(dx), asarray(ids), dW)
        found.append(to_numpy(dW).tolist())
    assert found[0] == found[1] == found[2]
