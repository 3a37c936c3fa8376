"""The GPU's norms and optimizers, on the emulated device, against the reference in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.backends.gpu import updates
from numlstm.backends.gpu.transfer import asarray, to_numpy, zeros
from tests.backends.gpu.parameters import DTYPES, slow

ERROR = {"float64": 1e-13, "float32": 5e-6}
SIZES = [1, 300, slow(8193)]
RULES = {
    "sgd": ({"weight_decay": 0.1}, 0),
    "momentum": ({"weight_decay": 0.1, "momentum": 0.9, "nesterov": 0.0}, 1),
    "nesterov": ({"weight_decay": 0.0, "momentum": 0.8, "nesterov": 1.0}, 1),
    "momentum, none": ({"weight_decay": 0.0, "momentum": 0.0, "nesterov": 1.0}, 1),
    "rmsprop": ({"weight_decay": 0.1, "rho": 0.95, "epsilon": 1e-6, "momentum": 0.0}, 1),
    "rmsprop, momentum": ({"weight_decay": 0.1, "rho": 0.95, "epsilon": 1e-6, "momentum": 0.7}, 2),
    "adagrad": ({"weight_decay": 0.1, "epsilon": 1e-6}, 1),
    "ftrl": ({"l1": 0.01, "l2": 0.1, "lr_power": -0.5}, 2),
    "ftrl, power": ({"l1": 0.3, "l2": 0.0, "lr_power": -0.3}, 2),
}


def doubled(values):
    return np.array(values, np.float64)


def close(found, expected, dtype):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        assert np.abs(a - b).max() <= ERROR[dtype] * max(np.abs(b).max(), 1e-3)


def drawn(size, dtype):
    """Return parameters and the gradients of five steps; every fifth parameter's gradient is always 0."""
    rng = np.random.default_rng(size)
    gradients = rng.standard_normal((5, size)).astype(dtype)
    gradients[:, ::5] = 0
    return rng.standard_normal(size).astype(dtype), gradients


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [*SIZES, slow(30_001)])
def test_the_norm(in_order, size, dtype):
    values = np.random.default_rng(size).standard_normal(size).astype(dtype)
    assert float(updates.global_norm(asarray(values))) == pytest.approx(reference.global_norm(values), rel=1e-12)


def test_the_norm_of_large_numbers_and_of_none(in_order):
    values = [[3e30, 4e30], [1, np.nan], [1, np.inf], [-np.inf, np.inf]]
    found = [float(updates.global_norm(asarray(each, "float32"))) for each in values]
    np.testing.assert_allclose(found, [5e30, np.nan, np.inf, np.inf], rtol=1e-6)


def test_the_order_of_threads_decides_no_bit_of_the_norm(device):
    values, found = np.random.default_rng(0).standard_normal(30_001).astype(np.float32), []
    for device.order in (0, 1, 7):
        found.append(float(updates.global_norm(asarray(values))))
    assert found[0] == found[1] == found[2]


def adam(backend, moved, params, gradients, clip, **decays):
    on = [moved(params), *(moved(np.zeros_like(params)) for _ in range(2))]
    for step, grads in enumerate(gradients, start=1):
        sent = moved(grads)
        rates = {"lr": 0.01 / step, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}
        norm = backend.global_norm(sent)
        backend.adam_(on[0], sent, *on[1:], step=step, norm=norm, clip=clip, **rates, **decays)
        np.testing.assert_array_equal(to_numpy(sent), grads)
    return [to_numpy(each) for each in on]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("clip", "decays"), [(0, {}), (0.5, {}), (1e6, {"l2": 0.1}), (0.5, {"decay": 0.5})], ids=str)
def test_adam(in_order, clip, decays, size, dtype):
    params, gradients = drawn(size, dtype)
    found = adam(updates, asarray, params, gradients, clip, **decays)
    close(found, adam(reference, doubled, params, gradients, clip, **decays), dtype)
    if not decays:
        np.testing.assert_array_equal(found[0][::5], params[::5])


def ruled(backend, moved, name, params, gradients):
    settings, count = RULES[name]
    rule = {"nesterov": "momentum"}.get(name, name.partition(",")[0])
    on = [moved(params), *(moved(np.full_like(params, 0.1)) for _ in range(count))]
    for step, grads in enumerate(gradients, start=1):
        sent = moved(grads)
        rates = {"lr": 0.05 / step, "norm": backend.global_norm(sent), "clip": (step % 3) * math.sqrt(len(grads)) / 3}
        backend.update_(rule, on[0], sent, on[1:], settings=settings, **rates)
        np.testing.assert_array_equal(to_numpy(sent), grads)
    return [to_numpy(each) for each in on]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", RULES)
def test_the_other_rules(in_order, name, size, dtype):
    params, gradients = drawn(size, dtype)
    found = ruled(updates, asarray, name, params, gradients)
    close(found, ruled(reference, doubled, name, params, gradients), dtype)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["adam", *RULES])
def test_a_norm_that_is_not_finite_changes_nothing(device, name, poison):
    params, gradients = drawn(300, "float32")
    gradients[:, 17] = poison
    if name == "adam":
        found, slots = adam(updates, asarray, params, gradients[:1], 1.0, l2=0.1, decay=0.1), 0.0
    else:
        found, slots = ruled(updates, asarray, name, params, gradients[:1]), np.float32(0.1)
    np.testing.assert_array_equal(found[0], params)
    for each in found[1:]:
        np.testing.assert_array_equal(each, np.full_like(params, slots))


class Packed:
    """A stand-in for packed weights that copies the parameters when it is marked stale."""

    def __init__(self, params):
        self.params, self.copy = params, None

    def mark_stale(self):
        self.copy = self.params.copy()


def test_weights_are_packed_anew_after_the_update_and_no_step_waits(device):
    params, gradients = drawn(300, "float64")
    on, m, v = asarray(params), zeros(300, "float64"), zeros(300, "float64")
    packed = [Packed(on), Packed(on)]
    for step in range(1, 4):
        sent = asarray(gradients[step])
        rates = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}
        updates.adam_(on, sent, m, v, step=step, norm=updates.global_norm(sent), clip=1.0, packed=packed, **rates)
    assert device.counts.synchronisations == 0
    assert (to_numpy(on)[1::5] != params[1::5]).all()
    for each in packed:
        np.testing.assert_array_equal(to_numpy(each.copy), to_numpy(on))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_clamp_and_approach(in_order, size, dtype):
    values, to = np.random.default_rng(size).standard_normal((2, size)).astype(dtype)
    on = asarray(values)
    updates.clamp_(on, 0.25)
    np.testing.assert_array_equal(to_numpy(on), np.clip(values, -0.25, 0.25))
    on = asarray(values)
    updates.approach_(on, asarray(to), 0.25)
    np.testing.assert_allclose(to_numpy(on), 0.75 * values + 0.25 * to, rtol=0, atol=8 * np.finfo(dtype).eps)


def test_clamp_leaves_what_is_not_finite(device):
    on = asarray([np.nan, np.inf, -np.inf, -7, 0.1], "float32")
    updates.clamp_(on, 0.25)
    np.testing.assert_array_equal(to_numpy(on), np.array([np.nan, np.inf, -np.inf, -0.25, 0.1], np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_unscaling(in_order, size, dtype):
    grads = np.random.default_rng(size).standard_normal(size).astype(dtype)
    scale, on = asarray([1024.0, 7.0]), asarray(grads)
    norm = updates.unscale_(on, scale)
    np.testing.assert_array_equal(to_numpy(on), grads / 1024)
    assert float(norm) == pytest.approx(reference.global_norm(grads / 1024), rel=1e-12)
    assert to_numpy(scale).tolist() == [1024, 8]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("before", "gradient"),
    [
        ((8.0, 5.0), np.nan),
        ((8.0, 5.0), np.inf),
        ((2.0, 5.0), np.nan),
        ((1.0, 5.0), np.nan),
        ((8.0, 0.0), 1.0),
        ((8.0, 1998.0), 1.0),
        ((8.0, 1999.0), 1.0),
        ((2.0**23, 1999.0), 1.0),
        ((2.0**24, 1999.0), 1.0),
    ],
)
def test_how_the_loss_scale_follows(device, before, gradient, dtype):
    scale, expected = asarray(before), np.array(before)
    grads = np.array([0.5, gradient], dtype)
    norm = updates.unscale_(asarray(grads), scale)
    np.testing.assert_allclose(float(norm), reference.unscale_(grads, expected), rtol=1e-14)
    np.testing.assert_array_equal(to_numpy(scale), expected)
