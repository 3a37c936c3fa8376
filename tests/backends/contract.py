"""Inputs for the protocol's functions, and helpers that run them and return the results by name.

Every run checks that it left its inputs unchanged. On the CPU the inputs are writable, as in training. Set `read_only`
for read-only arrays, for which Numba compiles every kernel again.
"""

from __future__ import annotations

import contextvars

import numpy as np

from numlstm.backends.spec.rounding import rounded

DTYPES = ("float64", "float32")
ERROR = {"float64": 1e-12, "float32": 2e-5}  # relative to the largest entry of an array


read_only = contextvars.ContextVar("read_only", default=False)


def frozen(values, dtype=None):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def doubled(arrays):
    """Return the arrays in float64; integer arrays are unchanged."""
    return {name: a if a.dtype.kind == "i" else a.astype(np.float64) for name, a in arrays.items()}


def device_arrays(backend, arrays):
    """Copy the arrays to the device."""
    moved = {name: backend.asarray(values) for name, values in arrays.items()}
    for array in moved.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = not read_only.get()
    return moved


def assert_close(found, expected, dtype, allowed=None):
    allowed = ERROR[dtype] if allowed is None else allowed
    assert found.keys() == expected.keys()
    for name, n in expected.items():
        a = found[name]
        if n is None:
            assert a is None, name
            continue
        assert a.shape == n.shape, name
        assert a.dtype == dtype, name
        scale = max(np.abs(n).max(initial=0), 1e-300)
        assert np.abs(a - n).max(initial=0) <= allowed * scale, name


def layer_inputs(rng, shape, dtype, *, tokens):
    T, B, D, H = shape
    sizes = {"W_x": (D, 4 * H), "W_h": (H, 4 * H), "b": (4 * H,), "h0": (B, H), "c0": (B, H), "dh": (T, B, H)}
    arrays = {name: frozen(rng.uniform(-1, 1, size) * H**-0.5, dtype) for name, size in sizes.items()}
    x = rng.integers(0, D, (T, B), np.int32) if tokens else rng.standard_normal((T, B, D)).astype(dtype)
    return {**arrays, "x": frozen(x)}


def forward(backend, on, *, tokens, tape=None):
    packed = backend.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=tokens)
    return packed, *backend.lstm_forward(on["x"], packed, on["h0"], on["c0"], tape=tape)


def backward(backend, on, packed, tape, *, start=0.0):
    """Return the gradients by name; weight gradients are added to `start`."""
    weights = [backend.zeros(on[name].shape, on["b"].dtype) for name in ("W_x", "W_h", "b")]
    for array in weights:
        array[...] = start
    dx, dh0, dc0 = backend.lstm_backward(on["dh"], packed, tape, *weights)
    named = dict(zip(("dx", "dh0", "dc0", "dW_x", "dW_h", "db"), (dx, dh0, dc0, *weights), strict=True))
    return {name: None if d is None else backend.to_numpy(d) for name, d in named.items()}


def run_layer(backend, inputs, *, tokens, tape=None, start=0.0):
    """Return a layer's results by name, and its tape. Checks that the inputs are unchanged."""
    on = device_arrays(backend, inputs)
    packed, h, (h_last, c_last), tape = forward(backend, on, tokens=tokens, tape=tape)
    found = {"h": backend.to_numpy(h), "h_last": backend.to_numpy(h_last), "c_last": backend.to_numpy(c_last)}
    found |= backward(backend, on, packed, tape, start=start)
    for name, values in inputs.items():
        np.testing.assert_array_equal(backend.to_numpy(on[name]), values, err_msg=name)
    return found, tape


def assert_same(found, expected):
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def assert_same_sums(backend, found, expected, dtype):
    """Check for equal bits, on a GPU up to rounding: cuBLAS picks its summation order by row count and address."""
    if backend.name == "gpu":
        assert_close(found, expected, dtype)
    else:
        assert_same(found, expected)


def run_dense(backend, inputs, *, start=0.0):
    on = device_arrays(backend, inputs)
    packed = backend.pack_dense(on["W"], on["b"])
    logits = backend.dense_forward(on["h"], packed)
    dW, db = (backend.zeros(on[name].shape, on["b"].dtype) for name in ("W", "b"))
    dW[...], db[...] = start, start
    dh = backend.dense_backward(on["dlogits"], on["h"], packed, dW, db)
    for name, values in inputs.items():
        np.testing.assert_array_equal(backend.to_numpy(on[name]), values, err_msg=name)
    return {n: backend.to_numpy(a) for n, a in (("logits", logits), ("dh", dh), ("dW", dW), ("db", db))}


def dense_inputs(rng, shape, dtype):
    N, H, V = shape
    sizes = {"h": (N, H), "W": (H, V), "b": (V,), "dlogits": (N, V)}
    return {name: frozen(rng.standard_normal(size), dtype) for name, size in sizes.items()}


def network(backend, rng, V, layers, dtype="float64", rounding=""):
    """Return the packed layers and the packed output of a random network, its weights of float32 rounded if asked."""

    def round_off(W):
        return frozen(rounded(W.astype(np.float32), rounding), dtype) if rounding else W

    packed, D = [], V
    for n, H in enumerate(layers):
        inputs = layer_inputs(np.random.default_rng([rng, n]), (1, 1, D, H), dtype, tokens=n == 0)
        given = {name: frozen(3 * inputs[name]) for name in ("W_x", "W_h", "b")}
        given |= {name: round_off(given[name]) for name in (("W_x", "W_h") if n else ("W_h",))}
        on = device_arrays(backend, given)
        packed.append(backend.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=n == 0))
        D = H
    arrays = dense_inputs(np.random.default_rng(rng), (1, D, V), dtype)
    on = device_arrays(backend, {"W": round_off(frozen(2 * arrays["W"])), "b": frozen(2 * arrays["b"])})
    return packed, backend.pack_dense(on["W"], on["b"])


def random_state(backend, seed, layers, B, dtype="float64"):
    rng = np.random.default_rng(seed)
    drawn = [rng.uniform(-1, 1, (2, B, H)) for H in layers]
    return [tuple(backend.asarray(frozen(part), dtype) for part in pair) for pair in drawn]
