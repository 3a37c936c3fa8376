"""What only the CPU backend has: its exp, sigmoid and tanh to the last bit, its products, its threads."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numba
import numpy as np
import pytest
from numba import njit

from numlstm.backends import cpu
from numlstm.backends.cpu import activations, packing
from numlstm.backends.cpu.product import multiply_rows
from numlstm.backends.cpu.simd import Emitter, View, lanes, vector_code
from numlstm.errors import ConfigError

CORES = int(numba.config.NUMBA_NUM_THREADS)
TWO_CORES = pytest.mark.skipif(CORES < 2, reason="needs two cores")
DTYPES = [np.float32, np.float64]
LARGEST = {np.float32: 87.0, np.float64: 708.0}
TINY = {np.float32: 1.2e-38, np.float64: 2.3e-308}

# The worst errors measured, in units of the last place, are below these: see `ulps`.
ALLOWED_ULPS = {"exp": 1.5, "sigmoid": 2.2, "tanh": 2.8}


@pytest.fixture(autouse=True)
def threads():
    """Leave the number of threads as it was."""
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


def vectorised(name):
    """A function that runs one of the activations over a whole array."""
    function = getattr(activations, name)

    def register(emit: Emitter, x: View, out: View) -> None:
        emit.store(function(emit, emit.load(x.pointer)), out.pointer)

    apply = vector_code(register)

    @njit
    def kernel(x, out, width):
        for n in range(0, len(x), width):
            apply(x[n:], out[n:])

    def run(x):
        width = lanes(x.itemsize)
        padded = np.zeros(-(-len(x) // width) * width, x.dtype)
        padded[: len(x)] = x
        out = np.empty_like(padded)
        kernel(padded, out, width)
        return out[: len(x)]

    return run


COMPILED = {name: vectorised(name) for name in ALLOWED_ULPS}


def exact(name, x):
    """The true value as a `Decimal`, to 50 places."""
    with localcontext() as context:
        context.prec = 50
        x = Decimal(float(x))
        if name == "exp":
            return x.exp()
        if name == "sigmoid":
            return 1 / (1 + (-x).exp())
        if abs(x) < Decimal("1e-12"):
            return x - x**3 / 3  # the quotient below would lose its leading digits
        return 1 - 2 / ((2 * x).exp() + 1)


def ulps(name, x, found):
    """The error in units of the last place of the true value, for each x."""
    errors = []
    for value, got in zip(x, found, strict=True):
        true = exact(name, value)
        unit = Decimal(float(np.spacing(np.abs(x.dtype.type(float(true))))))
        errors.append(float(abs(Decimal(float(got)) - true) / unit))
    return np.array(errors)


def sample(name, dtype):
    """Numbers close together over the whole range, and smaller and smaller ones near zero."""
    rng, largest = np.random.default_rng(0), LARGEST[dtype]
    wide = rng.uniform(-largest, 0 if name == "exp" else largest, 1500)
    near = rng.uniform(-10, 0 if name == "exp" else 10, 3000)
    small = 2.0 ** rng.uniform(-60, 0, 1000) * np.where(name == "exp", -1, rng.choice([-1, 1], 1000))
    halves = np.log(2) * (np.arange(-100, 1) + 0.5)  # where one power of two takes over from the next
    return np.concatenate([wide, near, small, halves]).clip(-largest, largest).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALLOWED_ULPS)
def test_activations_are_accurate_to_the_last_bits(name, dtype):
    x = sample(name, dtype)
    errors = ulps(name, x, COMPILED[name](x))
    assert errors.max() <= ALLOWED_ULPS[name], x[errors.argmax()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_of_special_numbers(dtype):
    info = np.finfo(dtype)
    x = np.array(
        [0.0, -0.0, info.smallest_subnormal, -info.tiny, np.inf, -np.inf, info.max, -info.max, 1e4, -1e4], dtype
    )
    np.testing.assert_array_equal(COMPILED["tanh"](x), [0, 0, *x[2:4], 1, -1, 1, -1, 1, -1])
    sigmoid = COMPILED["sigmoid"](x)
    np.testing.assert_array_equal(sigmoid[:4], 0.5)
    np.testing.assert_array_equal(sigmoid[4::2], 1)
    assert (sigmoid[5::2] >= 0).all()
    assert (sigmoid[5::2] <= TINY[dtype] * 2).all()
    np.testing.assert_array_equal(COMPILED["exp"](x[[0, 1, 2, 3, 5, 7, 9]]), [1, 1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALLOWED_ULPS)
def test_activations_pass_nan_on_in_every_lane(name, dtype):
    x = np.zeros(2 * lanes(np.dtype(dtype).itemsize), dtype)
    for place in range(len(x)):
        x[:] = -0.5
        x[place] = np.nan
        found = COMPILED[name](x)
        assert np.isnan(found[place])
        assert np.isfinite(np.delete(found, place)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_rise_and_stay_in_range(name, dtype):
    x = np.linspace(-100, 100, 20_001).astype(dtype)
    found = COMPILED[name](x).astype(np.float64)
    assert (np.diff(found) >= -4 * np.finfo(dtype).eps * np.abs(found[1:])).all()
    assert found.min() >= (0 if name == "sigmoid" else -1)
    assert found.max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_all_heights_and_widths(dtype):
    rng, width = np.random.default_rng(0), lanes(np.dtype(dtype).itemsize)
    columns = sorted(
        {1, 2, width - 1, width, width + 1, 3 * width, 4 * width - 1, 4 * width, 4 * width + 1, 9 * width + 3}
    )
    for M in range(15):
        for N in columns:
            for K in (0, 1, 2, 7):
                check_product(rng, M, K, N, dtype)


def check_product(rng, M, K, N, dtype):
    a, W, b = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (K, N), N))
    packed = packing.new_dense(K, N, np.dtype(dtype))
    packing.pack_dense(W, b, packed.W, packed.b, packed.W_T)
    memory = np.full(M * N + 200, 777, dtype)
    multiply_rows(a, packed.W, packed.b, memory[: M * N].reshape(M, N))
    exact_product = a.astype(np.float64) @ W + b
    allowed = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(memory[: M * N].reshape(M, N), exact_product, rtol=0, atol=allowed, err_msg=f"{M, K, N}")
    assert (memory[M * N :] == 777).all(), f"wrote beyond the end for {M, K, N}"


def layer(dtype, threads, tokens):
    """h and all gradients of a layer, computed by so many threads."""
    assert cpu.set_threads(threads) == threads
    rng = np.random.default_rng(0)
    T, B, D, H = 6, 13, 8, 45
    W_x, W_h, b = (rng.uniform(-0.3, 0.3, s).astype(dtype) for s in ((D, 4 * H), (H, 4 * H), 4 * H))
    h0, c0, dh = (rng.standard_normal(s).astype(dtype) for s in ((B, H), (B, H), (T, B, H)))
    x = rng.integers(0, D, (T, B), np.int32) if tokens else rng.standard_normal((T, B, D)).astype(dtype)
    packed = cpu.pack_lstm(W_x, W_h, b, tokens=tokens)
    h, _, tape = cpu.lstm_forward(x, packed, h0, c0)
    weights = [np.zeros_like(w) for w in (W_x, W_h, b)]
    dx, dh0, dc0 = cpu.lstm_backward(dh, packed, tape, *weights)
    return [a.copy() for a in (h, dh0, dc0, *weights, *(() if tokens else (dx,)))]


def output(dtype, threads):
    """Logits, loss and all gradients of the output layer, computed by so many threads."""
    cpu.set_threads(threads)
    rng = np.random.default_rng(0)
    h, W, b = (rng.standard_normal(s).astype(dtype) for s in ((131, 20), (20, 300), 300))
    packed = cpu.pack_dense(W, b)
    logits = cpu.dense_forward(h, packed)
    loss, dlogits = cpu.softmax_cross_entropy(logits.copy(), np.arange(131) % 300)
    dW, db = np.zeros_like(W), np.zeros_like(b)
    dh = cpu.dense_backward(dlogits, h, packed, dW, db)
    return [logits, np.array(loss), dlogits, dh, dW, db]


@TWO_CORES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", [lambda d, n: layer(d, n, True), lambda d, n: layer(d, n, False), output])
def test_threads_change_rounding_at_most(run, dtype):
    one, two, most = (run(dtype, threads) for threads in (1, 2, CORES))
    for a, b, c in zip(one, two, most, strict=True):
        for other in (b, c):
            assert np.abs(a - other).max() <= 100 * np.finfo(dtype).eps * np.abs(a).max()


@pytest.mark.parametrize("threads", sorted({1, min(2, CORES), CORES}))
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_threads_give_the_same_bits(dtype, threads):
    for run in (
        lambda: layer(dtype, threads, True),
        lambda: layer(dtype, threads, False),
        lambda: output(dtype, threads),
    ):
        for _ in range(3):
            for a, b in zip(run(), run(), strict=True):
                np.testing.assert_array_equal(a, b)


@TWO_CORES
def test_threads_do_not_change_the_norm_or_the_update():
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((2, 30_001)).astype(np.float32)
    found = []
    for threads in (1, 2):
        cpu.set_threads(threads)
        params, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
        cpu.adam_(params, grads, m, v, step=1, lr=0.1, beta1=0.9, beta2=0.99, epsilon=1e-8, scale=0.5)
        found.append((params, m, v, np.array(cpu.global_norm(grads))))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_set_threads():
    assert cpu.set_threads(None) == CORES
    assert cpu.set_threads(1) == 1
    assert "1 thread," in cpu.describe()
    for wrong in (0, -1, CORES + 1):
        with pytest.raises(ConfigError, match=f"threads is {wrong}; expected 1 to {CORES}"):
            cpu.set_threads(wrong)
    assert cpu.set_threads(1) == 1
