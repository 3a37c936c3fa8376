"""Every backend against `reference`: the same numbers on edge-case shapes, in float64 and float32.

Both read the same inputs, rounded to the dtype under test. The reference then computes in float64, so that its own
rounding does not affect the comparison.
"""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

from numlstm.backends import reference, registry
from numlstm.backends.protocol import Backend
from numlstm.backends.spec.gradients import Scaling
from numlstm.errors import BackendError
from tests.backends.contract import (
    DTYPES,
    ERROR,
    assert_close,
    assert_same,
    assert_same_sums,
    backward,
    dense_inputs,
    device_arrays,
    doubled,
    forward,
    frozen,
    layer_inputs,
    read_only,
    run_dense,
    run_layer,
)

# (T, B, D, H)
LAYERS = [
    (1, 1, 1, 1),
    (1, 3, 2, 5),  # one step
    (6, 1, 3, 7),  # one row, fewer than the cores
    (4, 2, 5, 1),  # one unit
    (5, 8, 1, 13),  # one input
    (3, 33, 4, 33),  # more rows than cores, and no multiple of a register width
    (2, 19, 6, 130),  # many panels
    (40, 5, 64, 16),  # more positions than a block, full registers
    (2, 3, 300, 9),  # many inputs
    # One less and one more than a register holds, and sizes that no tile height divides.
    (15, 16, 17, 18),
    (18, 17, 16, 15),
    (16, 15, 18, 17),
    (2, 70, 33, 16),
    (3, 2, 18, 70),
    (33, 18, 70, 2),
    (70, 33, 15, 3),
    (17, 1, 2, 33),
]
# (N, H, V)
DENSE = [(1, 1, 1), (1, 1, 2), (5, 7, 2), (8, 33, 65), (3, 4, 5000), (130, 16, 64), (2, 130, 3), (97, 5, 129)]
DENSE += [(15, 18, 16), (16, 17, 15), (17, 15, 18), (18, 16, 17), (33, 70, 70), (70, 2, 33), (1, 33, 15), (2, 3, 70)]


@pytest.fixture(
    params=[pytest.param("writable", id=pytest.HIDDEN_PARAM), pytest.param("read-only", marks=pytest.mark.slow)]
)
def inputs_as(request):
    """Writable inputs, as in training, and read-only ones, as from a memory-mapped file."""
    before = read_only.set(request.param == "read-only")
    yield
    read_only.reset(before)


@pytest.mark.usefixtures("inputs_as")
@pytest.mark.parametrize("tokens", [True, False], ids=["tokens", "activations"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", LAYERS, ids=str)
def test_a_layer(backend, shape, dtype, tokens):
    inputs = layer_inputs(np.random.default_rng(sum(shape)), shape, dtype, tokens=tokens)
    found, _ = run_layer(backend, inputs, tokens=tokens)
    expected, _ = run_layer(reference, doubled(inputs), tokens=tokens)
    assert_close(found, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_layer_of_5000_tokens(backend, dtype):
    inputs = layer_inputs(np.random.default_rng(0), (3, 4, 5000, 6), dtype, tokens=True)
    found, _ = run_layer(backend, inputs, tokens=True)
    expected, _ = run_layer(reference, doubled(inputs), tokens=True)
    assert_close(found, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_saturated_gates(backend, dtype):
    inputs = layer_inputs(np.random.default_rng(1), (4, 3, 5, 9), dtype, tokens=False)
    inputs = {name: a if name == "dh" else frozen(300 * a) for name, a in inputs.items()}
    found, _ = run_layer(backend, inputs, tokens=False)
    expected, _ = run_layer(reference, doubled(inputs), tokens=False)
    for name in ("h", "h_last", "c_last"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3 if dtype == "float32" else 1e-11, atol=1e-6)
    assert all(np.isfinite(values).all() for values in found.values())


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_gradients_are_added(backend, dtype, tokens):
    inputs = layer_inputs(np.random.default_rng(2), (3, 5, 4, 9), dtype, tokens=tokens)
    fresh, _ = run_layer(backend, inputs, tokens=tokens)
    added, _ = run_layer(backend, inputs, tokens=tokens, start=1.5)
    for name in ("dW_x", "dW_h", "db"):
        np.testing.assert_allclose(added[name], fresh[name] + 1.5, rtol=1e-5 if dtype == "float32" else 1e-13)
    for name in ("dx", "dh0", "dc0", "h"):
        np.testing.assert_array_equal(added[name], fresh[name])


@pytest.mark.parametrize("tokens", [True, False])
def test_a_used_tape_changes_nothing(backend, tokens):
    """A tape reused after other inputs, states and shapes gives the same bits as a fresh one."""
    rng = np.random.default_rng(3)
    first, second = (layer_inputs(rng, (4, 6, 5, 11), "float32", tokens=tokens) for _ in range(2))
    shorter = layer_inputs(rng, (2, 6, 5, 11), "float32", tokens=tokens)
    fresh, _ = run_layer(backend, second, tokens=tokens)
    _, tape = run_layer(backend, first, tokens=tokens)
    for _ in range(2):
        used, tape = run_layer(backend, second, tokens=tokens, tape=tape)
        assert_same(used, fresh)
    _, tape = run_layer(backend, shorter, tokens=tokens, tape=tape)
    used, _ = run_layer(backend, second, tokens=tokens, tape=tape)
    assert_same(used, fresh)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("below", [5, 16, 33])
def test_a_layer_reads_what_the_layer_below_returns(backend, dtype, below):
    """Reading h directly, whatever its memory layout, gives the same result as reading a copy."""
    rng = np.random.default_rng(below)
    first = device_arrays(backend, layer_inputs(rng, (4, 3, 6, below), dtype, tokens=True))
    above = layer_inputs(rng, (4, 3, below, 9), dtype, tokens=False)
    _, h, _, _ = forward(backend, first, tokens=True)
    copied, _ = run_layer(backend, {**above, "x": frozen(backend.to_numpy(h))}, tokens=False)
    on = {**device_arrays(backend, above), "x": h}
    packed, found, _, tape = forward(backend, on, tokens=False)
    results = {"h": backend.to_numpy(found), **backward(backend, on, packed, tape)}
    assert_same_sums(backend, results, {name: copied[name] for name in results}, dtype)


@pytest.mark.parametrize("tokens", [True, False])
def test_parts_of_larger_arrays(backend, tokens):
    """A layer's inputs may be slices with gaps between rows."""
    inputs = layer_inputs(np.random.default_rng(8), (4, 6, 5, 7), "float64", tokens=tokens)
    whole, _ = run_layer(backend, inputs, tokens=tokens)
    on = device_arrays(backend, inputs)
    for name in ("x", "h0", "c0", "dh"):
        gaps = [(1, 2)] * inputs[name].ndim
        larger = np.pad(inputs[name], gaps, constant_values=1)
        on[name] = backend.asarray(larger)[tuple(slice(1, -2) for _ in gaps)]
    packed, h, (h_last, c_last), tape = forward(backend, on, tokens=tokens)
    found = {"h": backend.to_numpy(h), "h_last": backend.to_numpy(h_last), "c_last": backend.to_numpy(c_last)}
    assert_same({**found, **backward(backend, on, packed, tape)}, {k: v for k, v in whole.items() if v is not None})


def test_the_last_state_is_a_copy(backend):
    inputs = layer_inputs(np.random.default_rng(4), (3, 2, 4, 5), "float64", tokens=False)
    on = device_arrays(backend, inputs)
    _, _, (h, c), tape = forward(backend, on, tokens=False)
    before = backend.to_numpy(h), backend.to_numpy(c)
    other = {**on, "h0": on["c0"], "c0": on["h0"]}
    forward(backend, other, tokens=False, tape=tape)
    np.testing.assert_array_equal(backend.to_numpy(h), before[0])
    np.testing.assert_array_equal(backend.to_numpy(c), before[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [True, False])
def test_carried_state_goes_on_exactly(backend, dtype, tokens):
    """Running a sequence in two parts, carrying the state over, gives the same bits as in one."""
    inputs = layer_inputs(np.random.default_rng(5), (7, 3, 4, 10), dtype, tokens=tokens)
    whole, _ = run_layer(backend, inputs, tokens=tokens)
    on = device_arrays(backend, inputs)
    _, h_first, (h, c), _ = forward(backend, {**on, "x": on["x"][:3]}, tokens=tokens)
    _, h_second, (h, c), _ = forward(backend, {**on, "x": on["x"][3:], "h0": h, "c0": c}, tokens=tokens)
    both = np.concatenate([backend.to_numpy(h_first), backend.to_numpy(h_second)])
    results, expected = {"h": both, "c_last": backend.to_numpy(c)}, {name: whole[name] for name in ("h", "c_last")}
    if tokens:  # activations need a matrix product, whose size differs
        assert_same(results, expected)
    else:
        assert_same_sums(backend, results, expected, dtype)


def test_packing_again_replaces_all_of_it(backend):
    rng = np.random.default_rng(6)
    first, second = (layer_inputs(rng, (3, 4, 5, 19), "float64", tokens=False) for _ in range(2))
    on, new = device_arrays(backend, first), device_arrays(backend, second)
    for tokens in (True, False):
        packed = backend.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=tokens)
        again = backend.pack_lstm(new["W_x"], new["W_h"], new["b"], tokens=tokens, packed=packed)
        ids = backend.asarray(np.zeros((3, 4), np.int32))
        h, _, tape = backend.lstm_forward(ids if tokens else new["x"], again, new["h0"], new["c0"])
        expected, _ = run_layer(backend, {**second, "x": backend.to_numpy(ids)} if tokens else second, tokens=tokens)
        np.testing.assert_array_equal(backend.to_numpy(h), expected["h"])
        assert_same(backward(backend, new, again, tape), {n: expected[n] for n in ("dh0", "dc0", "dW_x", "dW_h")})


@pytest.mark.usefixtures("inputs_as")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", DENSE, ids=str)
def test_dense(backend, shape, dtype):
    inputs = dense_inputs(np.random.default_rng(sum(shape)), shape, dtype)
    assert_close(run_dense(backend, inputs), run_dense(reference, doubled(inputs)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_gradients_are_added(backend, dtype):
    inputs = dense_inputs(np.random.default_rng(0), (9, 7, 11), dtype)
    assert_close(run_dense(backend, inputs, start=2.5), run_dense(reference, doubled(inputs), start=2.5), dtype)


def test_dense_packed_again_and_written_into_out(backend):
    rng = np.random.default_rng(1)
    first, second = (dense_inputs(rng, (4, 21, 37), "float64") for _ in range(2))
    packed = backend.pack_dense(backend.asarray(first["W"]), backend.asarray(first["b"]))
    packed = backend.pack_dense(backend.asarray(second["W"]), backend.asarray(second["b"]), packed=packed)
    out = backend.zeros((4, 37), "float64")
    logits = backend.dense_forward(backend.asarray(second["h"]), packed, out=out)
    np.testing.assert_array_equal(backend.to_numpy(logits), run_dense(backend, second)["logits"])
    wrong_size = backend.dense_forward(backend.asarray(second["h"]), packed, out=backend.zeros((3, 37), "float64"))
    np.testing.assert_array_equal(backend.to_numpy(wrong_size), backend.to_numpy(logits))


def run_loss(backend, logits, targets):
    loss, dlogits = backend.softmax_cross_entropy(
        backend.asarray(logits), device_arrays(backend, {"targets": targets})["targets"]
    )
    return float(loss), backend.to_numpy(dlogits)


@pytest.mark.usefixtures("inputs_as")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 30, 1e4])
@pytest.mark.parametrize(("N", "V"), [(1, 1), (1, 2), (7, 2), (5, 31), (33, 64), (64, 65), (3, 5000)])
def test_loss(backend, N, V, scale, dtype):
    rng = np.random.default_rng(N + V)
    logits = rng.uniform(-scale, scale, (N, V)).astype(dtype)
    targets = frozen(rng.integers(0, V, N), np.int32)
    targets_of_all_kinds = targets.copy()
    targets_of_all_kinds[0], targets_of_all_kinds[-1] = logits[0].argmax(), logits[-1].argmin()
    loss, dlogits = run_loss(backend, logits, targets_of_all_kinds)
    expected_loss, expected = run_loss(reference, logits.astype(np.float64), targets_of_all_kinds)
    assert loss == pytest.approx(expected_loss, rel=1e-6 if dtype == "float32" else 1e-13, abs=ERROR[dtype] / 10)
    assert dlogits.dtype == dtype
    assert np.abs(dlogits - expected).max() <= ERROR[dtype] / 10 / N


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nan_makes_the_loss_nan(backend, dtype):
    for row, column in ((0, 0), (3, 17), (8, 32)):
        logits = np.zeros((9, 33), dtype)
        logits[row, column] = np.nan
        loss, dlogits = run_loss(backend, logits, np.zeros(9, np.int32))
        assert np.isnan(loss)
        assert np.isnan(dlogits[row]).all()
        assert np.isfinite(np.delete(dlogits, row, axis=0)).all()


@pytest.mark.usefixtures("inputs_as")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 8192, 8193, 30_001])
def test_global_norm(backend, size, dtype):
    values = np.random.default_rng(size).standard_normal(size).astype(dtype)
    found = float(backend.global_norm(device_arrays(backend, {"grads": values})["grads"]))
    assert found == pytest.approx(np.sqrt(np.sum(values.astype(np.float64) ** 2)), rel=1e-12)


def test_global_norm_of_large_numbers_and_of_nan(backend):
    def norm(values):
        return float(backend.global_norm(backend.asarray(values, "float32")))

    assert norm([3e30, 4e30]) == pytest.approx(5e30, rel=1e-6)
    assert np.isnan(norm([1.0, np.nan]))
    assert norm([1.0, np.inf]) == np.inf


def run_adam(backend, dtype, gradients, params, **decays):
    arrays = [backend.asarray(params, dtype), *(backend.zeros(params.size, dtype) for _ in range(2))]
    for step, grads in enumerate(gradients, start=1):
        on = device_arrays(backend, {"grads": grads.astype(dtype)})["grads"]
        numbers = {"lr": 0.01 / step, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}
        norm = backend.global_norm(on)
        clip = (step % 3) * np.sqrt(len(grads)) / 3  # no clipping, or to a third or two thirds of the norm
        backend.adam_(arrays[0], on, *arrays[1:], step=step, norm=norm, clip=clip, **numbers, **decays)
        np.testing.assert_array_equal(backend.to_numpy(on), grads.astype(dtype))
    return dict(zip(("params", "m", "v"), map(backend.to_numpy, arrays), strict=True))


@pytest.mark.usefixtures("inputs_as")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 13, 8193, 20_000])
def test_adam_over_many_steps(backend, size, dtype):
    rng = np.random.default_rng(size)
    params, gradients = rng.standard_normal(size), rng.standard_normal((50, size)).astype(dtype)
    gradients[:, ::5] = 0  # as for a token that never occurs
    found = run_adam(backend, dtype, gradients, params.astype(dtype))
    expected = run_adam(reference, "float64", gradients.astype(np.float64), params.astype(dtype).astype(np.float64))
    assert_close(found, expected, dtype, 1e-13 if dtype == "float64" else 2e-6)
    np.testing.assert_array_equal(found["params"][::5], params.astype(dtype)[::5])


RULES = {
    "sgd": ({"weight_decay": 0.1}, 0),
    "momentum": ({"weight_decay": 0.1, "momentum": 0.9, "nesterov": 0.0}, 1),
    "nesterov": ({"weight_decay": 0.0, "momentum": 0.8, "nesterov": 1.0}, 1),
    "rmsprop": ({"weight_decay": 0.1, "rho": 0.95, "epsilon": 1e-6, "momentum": 0.0}, 1),
    "rmsprop, momentum": ({"weight_decay": 0.0, "rho": 0.95, "epsilon": 1e-6, "momentum": 0.7}, 2),
    "adagrad": ({"weight_decay": 0.1, "epsilon": 1e-6}, 1),
    "ftrl": ({"l1": 0.01, "l2": 0.1, "lr_power": -0.5}, 2),
    "ftrl, power": ({"l1": 0.0, "l2": 0.0, "lr_power": -0.3}, 2),
}


def run_rule(backend, dtype, name, gradients, params):
    settings, slots = RULES[name]
    rule = "momentum" if name == "nesterov" else name.partition(",")[0]
    arrays = [backend.asarray(params, dtype), *(backend.zeros(params.size, dtype) for _ in range(slots))]
    for slot in arrays[1:2]:
        slot[...] = 0.1
    for step, grads in enumerate(gradients, start=1):
        on = device_arrays(backend, {"grads": grads.astype(dtype)})["grads"]
        rates = {"lr": 0.05 / step, "norm": backend.global_norm(on), "clip": (step % 3) * np.sqrt(len(grads)) / 3}
        backend.update_(rule, arrays[0], on, arrays[1:], settings=settings, **rates)
        np.testing.assert_array_equal(backend.to_numpy(on), grads.astype(dtype))
    return {str(n): backend.to_numpy(array) for n, array in enumerate(arrays)}


@pytest.mark.usefixtures("inputs_as")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [13, 8193, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 20_000))])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_over_many_steps(backend, name, size, dtype):
    rng = np.random.default_rng(size)
    params, gradients = rng.standard_normal(size), rng.standard_normal((20, size)).astype(dtype)
    gradients[:, ::5] = 0
    found = run_rule(backend, dtype, name, gradients, params.astype(dtype))
    expected = run_rule(reference, "float64", name, gradients.astype("float64"), params.astype(dtype).astype("float64"))
    assert_close(found, expected, dtype, 1e-13 if dtype == "float64" else 5e-6)
    assert (found["0"][1::5] != params.astype(dtype)[1::5]).all(), "a parameter with a gradient did not change"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("l2", "decay"), [(0.1, 0.0), (0.0, 0.5)])
def test_adam_with_weight_decay(backend, l2, decay, dtype):
    rng = np.random.default_rng(0)
    params, gradients = rng.standard_normal(9000).astype(dtype), rng.standard_normal((20, 9000)).astype(dtype)
    found = run_adam(backend, dtype, gradients, params, l2=l2, decay=decay)
    expected = run_adam(reference, "float64", gradients.astype("float64"), params.astype("float64"), l2=l2, decay=decay)
    assert_close(found, expected, dtype, 1e-13 if dtype == "float64" else 2e-6)
    plain = run_adam(backend, dtype, gradients, params)
    assert np.abs(found["params"] - plain["params"]).mean() > 1e-3, "weight decay had no effect"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 8193, 20_000])
def test_clamp(backend, size, dtype):
    values = np.random.default_rng(size).standard_normal(size).astype(dtype)
    on = backend.asarray(values)
    backend.clamp_(on, 0.25)
    np.testing.assert_array_equal(backend.to_numpy(on), np.clip(values, -0.25, 0.25))
    odd = np.array([np.nan, np.inf, -np.inf, -7.0, 0.1], dtype)
    on = backend.asarray(odd)
    backend.clamp_(on, 0.25)
    np.testing.assert_array_equal(backend.to_numpy(on), np.array([np.nan, np.inf, -np.inf, -0.25, 0.1], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 8193, 20_000])
def test_approach(backend, size, dtype):
    values, to = np.random.default_rng(size).standard_normal((2, size)).astype(dtype)
    on = backend.asarray(values)
    backend.approach_(on, backend.asarray(to), 0.25)
    np.testing.assert_allclose(backend.to_numpy(on), 0.75 * values + 0.25 * to, rtol=0, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_unscale_divides_and_follows_the_norm(backend, dtype):
    values = np.random.default_rng(0).standard_normal(9000).astype(dtype)
    good, bad = values, np.where(np.arange(9000) == 8500, np.inf, values).astype(dtype)
    most, patience = Scaling.MOST, Scaling.PATIENCE
    for grads, before, after in [
        (good, [1024.0, 5], [1024.0, 6]),
        (bad, [1024.0, 5], [512.0, 0]),
        (bad, [1.0, 5], [1.0, 0]),
        (good, [64.0, patience - 1], [128.0, 0]),
        (good, [most, patience - 1], [most, 0]),
    ]:
        on, scale = backend.asarray(grads), backend.asarray(np.array(before))
        norm = float(backend.unscale_(on, scale))
        expected = (grads / before[0]).astype(np.float64)
        np.testing.assert_array_equal(backend.to_numpy(on), expected.astype(dtype))
        assert norm == pytest.approx(np.sqrt(np.sum(expected**2)), rel=1e-6)
        np.testing.assert_array_equal(backend.to_numpy(scale), after)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scaled_loss_has_a_scaled_gradient(backend, dtype):
    rng = np.random.default_rng(1)
    logits, targets = rng.standard_normal((6, 9)).astype(dtype), rng.integers(0, 9, 6).astype(np.int32)
    loss, plain = run_loss(backend, logits, targets)
    scale = backend.asarray(np.array([4096.0, 1.0]))
    number, dlogits = backend.softmax_cross_entropy(backend.asarray(logits), backend.asarray(targets), scale=scale)
    assert float(number) == loss
    assert_close({"dlogits": backend.to_numpy(dlogits) / dtype_of(dtype)(4096)}, {"dlogits": plain}, dtype)


def dtype_of(name):
    return np.dtype(name).type


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize(("B", "T"), [(1, 1), (3, 7), (33, 2), (2, 70)])
def test_windows_of_a_text(backend, dtype, B, T):
    rng = np.random.default_rng(B + T)
    text = rng.integers(0, 200, 500).astype(dtype)
    starts = rng.integers(0, 499 - T, B)
    starts[0], starts[-1] = 0, 499 - T
    held = backend.hold(text)
    x, y = backend.window(text if held is None else held, starts, T)
    for ids, shift in ((x, 0), (y, 1)):
        found = backend.to_numpy(ids)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, [[text[at + t + shift] for at in starts] for t in range(T)])


def test_transfer_copies(backend):
    values = np.arange(6.0).reshape(2, 3)
    on = backend.asarray(values, "float32")
    values[...] = -1
    back = backend.to_numpy(on)
    assert back.dtype == np.float32
    back[...] = -2
    np.testing.assert_array_equal(backend.to_numpy(on), np.arange(6.0).reshape(2, 3))
    zeros = backend.to_numpy(backend.zeros((2, 3), "float64"))
    assert zeros.shape == (2, 3)
    assert not zeros.any()


def test_it_says_what_it_is(backend):
    assert backend.name in registry.names()
    assert backend.available() == ""
    assert backend.name in backend.describe()
    assert backend.set_threads(None) >= 1


def offered():
    return [name for name, kind in vars(Backend).items() if inspect.isfunction(kind) and not name.startswith("_")]


def shape_of(function, skip):
    found = list(inspect.signature(function).parameters.values())[skip:]
    return [(p.name, p.kind, p.default) for p in found]


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("function", offered())
def test_signatures_are_the_protocol_s(name, function):
    module = importlib.import_module(f"numlstm.backends.{name}")
    assert module.name == name
    assert shape_of(getattr(module, function), 0) == shape_of(getattr(Backend, function), 1)


def test_the_protocol_is_not_empty():
    assert len(offered()) == 28


def test_auto_finds_a_backend_that_works():
    assert registry.load("auto").available() == ""
    assert "reference" in registry.names()
    with pytest.raises(BackendError, match="no device is called 'none'; expected auto, cpu"):
        registry.load("none")
