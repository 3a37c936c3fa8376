"""What the number of threads may and may not change, and concurrent calls from two Python threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from numlstm.backends import cpu
from numlstm.errors import ConfigError
from numlstm.model import Model
from numlstm.settings.training import TrainingSettings
from numlstm.training.optimizers import Optimizer
from tests.backends.contract import dense_inputs, layer_inputs, run_dense, run_layer

pytestmark = pytest.mark.usefixtures("threads")

CORES = int(numba.config.NUMBA_NUM_THREADS)
TWO_CORES = pytest.mark.skipif(CORES < 2, reason="needs two cores")
DTYPES = [np.float32, np.float64]


def layer(dtype, threads, tokens):
    """Return h and all gradients of a layer, computed with `threads` threads."""
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
    """Return logits, loss and all gradients of the output layer, computed with `threads` threads."""
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
def test_threads_do_not_change_the_norm():
    grads, found = np.random.default_rng(0).standard_normal(30_001).astype(np.float32), []
    for threads in (1, 2):
        cpu.set_threads(threads)
        found.append(cpu.global_norm(grads))
    assert found[0] == found[1]


def trained(threads, B, dtype, steps=4):
    """Return the losses of a few training steps and the final parameters."""
    cpu.set_threads(threads)
    model = Model.create(9, (18, 5), seed=1, device="cpu", dtype=dtype)
    optimizer = Optimizer({name: np.zeros_like(model.flat) for name in "mv"})
    rng, config, losses, state = np.random.default_rng(B), TrainingSettings(steps=steps), [], None
    for step in range(steps):
        ids, targets = rng.integers(0, 9, (2, 7, B))
        loss, state = model.gradients_(ids, targets, state)
        optimizer.update_(cpu, model.flat, model.grads, config, step, model.packed)
        losses.append(loss)
    return np.array(losses), model.flat


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("B", [1, 2, 19])
@pytest.mark.parametrize("threads", sorted({1, min(2, CORES), CORES}))
def test_training_is_reproducible(threads, B, dtype):
    """The batch sizes include some with fewer rows than threads."""
    losses, flat = trained(threads, B, dtype)
    assert len(np.unique(losses)) == len(losses)
    for _ in range(3):
        again, flat_again = trained(threads, B, dtype)
        np.testing.assert_array_equal(again, losses)
        np.testing.assert_array_equal(flat_again, flat)


@TWO_CORES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_more_threads_than_rows(dtype):
    one, two = (trained(threads, 1, dtype) for threads in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_python_threads_at_once(dtype):
    """Each thread gets the result it would get alone, even when both work on the same shapes."""

    def work(seed):
        rng = np.random.default_rng(seed)
        layer, output = layer_inputs(rng, (5, 6, 7, 18), dtype, tokens=False), dense_inputs(rng, (30, 18, 33), dtype)
        loss, dlogits = cpu.softmax_cross_entropy(output["dlogits"].copy(), np.arange(30) % 33)
        return {**run_layer(cpu, layer, tokens=False)[0], **run_dense(cpu, output), "loss": loss, "dlogits": dlogits}

    seeds = [1, 2] * 20
    alone = {seed: work(seed) for seed in (1, 2)}
    with ThreadPoolExecutor(2) as pool:
        for seed, found in zip(seeds, pool.map(work, seeds), strict=True):
            for name, values in alone[seed].items():
                np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_set_threads():
    assert cpu.set_threads(None) == CORES
    assert cpu.set_threads(1) == 1
    assert "1 thread," in cpu.describe()
    for wrong in (0, -1, CORES + 1):
        with pytest.raises(ConfigError, match=f"threads is {wrong}; expected 1 to {CORES}"):
            cpu.set_threads(wrong)
    assert cpu.set_threads(1) == 1
