"""Weights packed in the kernels' order, and the fused update that packs them, exact to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from numlstm.backends import cpu
from numlstm.backends.cpu import packing
from numlstm.errors import BackendError

pytestmark = pytest.mark.usefixtures("threads")

# V, and the H of each layer
NETWORKS = [(1, (1,)), (2, (3, 1)), (15, (16, 17)), (33, (18, 2, 15)), (70, (70,)), (300, (5,))]
RULE = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "norm": 1.0, "clip": 0.7}


def shapes(V, layers):
    """Return the shapes of a network's parameters, in memory order."""
    found = []
    for D, H in zip((V, *layers), layers, strict=False):
        found += [(D, 4 * H), (H, 4 * H), (4 * H,)]
    return [*found, (layers[-1], V), (V,)]


def views(flat, V, layers):
    """Return shaped views of the parameters in one flat array."""
    sizes = [int(np.prod(shape)) for shape in shapes(V, layers)]
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes(V, layers), strict=True)]


def packed_all(flat, V, layers, precision=""):
    weights = views(flat, V, layers)
    packed = [
        cpu.pack_lstm(*weights[3 * n : 3 * n + 3], tokens=n == 0, precision=precision) for n in range(len(layers))
    ]
    return [*packed, cpu.pack_dense(*weights[-2:])]


def numbers(V, layers, dtype):
    """Return parameters and the gradients of three steps."""
    size = sum(int(np.prod(shape)) for shape in shapes(V, layers))
    drawn = np.random.default_rng(size).standard_normal((4, size)).astype(dtype)
    drawn[1:, ::7] = 0
    drawn.flags.writeable = False
    return drawn[0].copy(), drawn[1:]


def trained(V, layers, dtype, *, threads=1, with_packed=True, precision=""):
    """Return the parameters, m and v after three updates, and the packed weights."""
    cpu.set_threads(threads)
    flat, gradients = numbers(V, layers, dtype)
    m, v = np.zeros_like(flat), np.zeros_like(flat)
    packed = packed_all(flat, V, layers, precision)
    for step, grads in enumerate(gradients, start=1):
        cpu.adam_(flat, grads, m, v, step=step, packed=packed if with_packed else (), **RULE)
    return (flat, m, v), packed


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16])
def test_an_array_starts_at_a_cache_line(dtype):
    arrays = [packing.aligned((3, size), dtype) for size in range(1, 40)]
    assert {array.ctypes.data % 64 for array in arrays} == {0}
    assert all(array.shape == (3, size) and array.dtype == dtype for size, array in enumerate(arrays, start=1))


def arrays(packed):
    """Return all arrays of the packed weights by name."""
    return {
        f"{n}.{field.name}": getattr(each, field.name)
        for n, each in enumerate(packed)
        for field in dataclasses.fields(each)
        if isinstance(getattr(each, field.name), np.ndarray)
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


PRECISIONS = ["float32", *(pytest.param(name, marks=pytest.mark.slow) for name in ("float64", "bf16"))]


@pytest.fixture(params=PRECISIONS)
def precision(request, monkeypatch):
    """The parameters' dtype and the products' precision. Packing bf16 pairs needs no bf16 instruction."""
    monkeypatch.setenv("NUMLSTM_BF16", "emulated")
    return ("float32", "bf16") if request.param == "bf16" else (request.param, "")


@pytest.mark.parametrize(("V", "layers"), NETWORKS)
def test_an_update_packs_what_it_makes(V, layers, precision):
    dtype, products = precision
    plain, _ = trained(V, layers, dtype, with_packed=False)
    found, packed = trained(V, layers, dtype, precision=products)
    for name, a, b in zip(("params", "m", "v"), found, plain, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert_same(arrays(packed), arrays(packed_all(found[0], V, layers, products)))


@pytest.mark.parametrize(("V", "layers"), NETWORKS)
def test_threads_change_nothing(V, layers, precision):
    dtype, products = precision
    most = cpu.set_threads(None)
    if most < 2:
        pytest.skip("needs two cores")
    one, one_packed = trained(V, layers, dtype, precision=products)
    for threads in sorted({2, most}):
        other, other_packed = trained(V, layers, dtype, threads=threads, precision=products)
        for a, b in zip(other, one, strict=True):
            np.testing.assert_array_equal(a, b)
        assert_same(arrays(other_packed), arrays(one_packed))


def test_stale_packed_weights_are_seen():
    """The tests above rely on this: packed weights that no update renewed differ from fresh ones."""
    (flat, _, _), stale = trained(15, (16, 17), "float32", with_packed=False)
    fresh = arrays(packed_all(flat, 15, (16, 17)))
    assert all(not np.array_equal(values, fresh[name]) for name, values in arrays(stale).items() if values.size)


@pytest.mark.parametrize("dense", [True, False])
def test_weights_that_are_not_among_the_parameters_are_refused(dense):
    flat, gradients = numbers(3, (4,), "float32")
    other = [part.copy() for part in views(flat, 3, (4,))]
    foreign = cpu.pack_dense(*other[-2:]) if dense else cpu.pack_lstm(*other[:3], tokens=True)
    m, v = np.zeros_like(flat), np.zeros_like(flat)
    with pytest.raises(ValueError, match="not part of the parameters"):
        cpu.adam_(flat, gradients[0], m, v, step=1, packed=[foreign], **RULE)
    np.testing.assert_array_equal(flat, numbers(3, (4,), "float32")[0])


def columns_side_by_side(W, width):
    """Return W (K, N) as panels of columns (panels, K, width), padded with zeros."""
    K, N = W.shape
    filled = np.zeros((K, -(-N // width) * width), W.dtype)
    filled[:, :N] = W
    return filled.reshape(K, -1, width).transpose(1, 0, 2)


def gates_side_by_side(W, VL):
    """Return W (K, 4H) with the four gates of each `VL` units side by side, in P consecutive panels: (K, 4 P VL)."""
    K, H = len(W), W.shape[1] // 4
    P = -(-H // VL)
    filled = np.zeros((K, 4, P * VL), W.dtype)
    filled[:, :, :H] = W.reshape(K, 4, H)
    return filled.reshape(K, 4, P, VL).transpose(0, 2, 1, 3).reshape(K, -1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("D", "H", "V"), [(1, 1, 1), (2, 3, 3), (15, 16, 17), (17, 18, 15), (33, 70, 129)])
def test_the_order_of_packed_weights(D, H, V, dtype):
    rng = np.random.default_rng(H)
    W_x, W_h, b, W, b_y = (rng.standard_normal(s).astype(dtype) for s in ((D, 4 * H), (H, 4 * H), 4 * H, (H, V), V))
    layer, first, output = (
        cpu.pack_lstm(W_x, W_h, b, tokens=False),
        cpu.pack_lstm(W_x, W_h, b, tokens=True),
        cpu.pack_dense(W, b_y),
    )
    VL = layer.lanes
    width = 4 * VL
    for found, weight in ((layer.W_x, W_x), (layer.W_h, W_h), (first.W_h, W_h)):
        np.testing.assert_array_equal(found, columns_side_by_side(gates_side_by_side(weight, VL), width))
    for found, weight in ((layer.W_x_T, W_x), (layer.W_h_T, W_h)):
        np.testing.assert_array_equal(found, columns_side_by_side(gates_side_by_side(weight, VL).T, width))
    np.testing.assert_array_equal(first.start.reshape(D, -1), gates_side_by_side(b + W_x, VL))
    np.testing.assert_array_equal(layer.start.reshape(1, -1), gates_side_by_side(b[None], VL))
    np.testing.assert_array_equal(output.W, columns_side_by_side(W, width))
    np.testing.assert_array_equal(output.W_T, columns_side_by_side(W.T, width))


def rounded_to_bf16(values):
    """Round to the nearest numbers whose low sixteen float32 bits are zero, ties to even."""
    below = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
    step = np.exp2(np.floor(np.log2(np.abs(values.astype(np.float64)))) - 7) * np.sign(values)
    part = (values - below) / step
    odd = (values.view(np.uint32) >> 16) & 1
    return (below + step * ((part > 0.5) | ((part == 0.5) & (odd == 1)))).astype(np.float32)


@pytest.mark.parametrize(("D", "H"), [(1, 1), (2, 3), (16, 17), (33, 70)])
def test_pairs_of_bf16_hold_the_nearest_numbers(D, H, monkeypatch):
    monkeypatch.setenv("NUMLSTM_BF16", "emulated")
    rng = np.random.default_rng(H)
    W_x, W_h = (rng.standard_normal((rows, 4 * H)).astype(np.float32) for rows in (D, H))
    W_h.reshape(-1).view(np.uint32)[::3] &= 0xFFFF0000
    W_h.reshape(-1).view(np.uint32)[::3] |= 0x8000  # halfway between two bf16 numbers
    layer = cpu.pack_lstm(W_x, W_h, np.zeros(4 * H, np.float32), tokens=False, precision="bf16")
    VL = layer.lanes
    for weight, found, found_T in ((W_x, layer.W_x, layer.W_x_T), (W_h, layer.W_h, layer.W_h_T)):
        exact = gates_side_by_side(rounded_to_bf16(weight), VL)
        for pairs, rows in ((found, exact), (found_T, exact.T)):
            panels = columns_side_by_side(np.concatenate([rows, np.zeros((len(rows) % 2, rows.shape[1]))]), 4 * VL)
            first = (pairs.view(np.uint32) << np.uint32(16)).view(np.float32)
            second = (pairs.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
            np.testing.assert_array_equal(first, panels[:, 0::2])
            np.testing.assert_array_equal(second, panels[:, 1::2])


@pytest.mark.parametrize(("precision", "dtype"), [("half", "float32"), ("bf16", "float64")])
def test_a_precision_that_does_not_exist_is_refused(precision, dtype):
    W, b = np.zeros((2, 8), dtype), np.zeros(8, dtype)
    with pytest.raises(BackendError, match="expected bf16 for float32"):
        cpu.pack_lstm(W, W, b, tokens=False, precision=precision)
