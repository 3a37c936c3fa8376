"""The learning rate of each step, clipping, and what the update does with a gradient that is not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numlstm import backends
from numlstm.config import TrainConfig
from numlstm.errors import BackendError
from numlstm.optim import Adam, learning_rate


@pytest.fixture(params=backends.names())
def backend(request):
    try:
        return backends.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))


def test_the_rate_rises_on_a_line_and_falls_on_half_a_cosine():
    config = TrainConfig(steps=1100, lr=2.0, lr_floor=0.1, warmup_steps=100)
    assert learning_rate(config, 0) == pytest.approx(0.02)
    assert learning_rate(config, 49) == pytest.approx(1.0)
    assert learning_rate(config, 99) == pytest.approx(2.0)
    assert learning_rate(config, 100) == pytest.approx(2.0)
    quarter = 2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert learning_rate(config, 350) == pytest.approx(quarter)
    assert learning_rate(config, 600) == pytest.approx(2.0 * 0.55)
    assert learning_rate(config, 1100) == pytest.approx(0.2)
    assert learning_rate(config, 5000) == pytest.approx(0.2)


def test_the_rate_never_jumps_and_falls_after_the_warm_up():
    config = TrainConfig(steps=500, lr=1.0, lr_floor=0.05, warmup_steps=50)
    rates = np.array([learning_rate(config, step) for step in range(500)])
    assert (np.diff(rates[:50]) > 0).all()
    assert (np.diff(rates[50:]) < 0).all()
    assert np.abs(np.diff(rates)).max() <= 1 / 50 + 1e-12
    assert rates.min() > 0
    assert rates[-1] == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("warmup", [0, 10, 20])
def test_odd_schedules_stay_in_range(warmup):
    config = TrainConfig(steps=10, lr=1.0, warmup_steps=warmup)
    assert all(0 < learning_rate(config, step) <= 1 for step in range(10))
    flat = TrainConfig(steps=10, lr=0.5, lr_floor=1.0, warmup_steps=0)
    assert {learning_rate(flat, step) for step in range(11)} == {0.5}


class Recorder:
    """A backend of a given norm that keeps what `adam_` is called with."""

    def __init__(self, norm):
        self.norm, self.calls = norm, []

    def global_norm(self, grads):
        return self.norm

    def adam_(self, *arrays, **settings):
        self.calls.append(settings)


@pytest.mark.parametrize(
    ("norm", "clip", "scale"),
    [(0.5, 1.0, 1.0), (4.0, 1.0, 1 / (4 + 1e-6)), (4.0, 2.0, 2 / (4 + 1e-6)), (4.0, 0.0, 1.0), (0.0, 1.0, 1.0)],
)
def test_a_gradient_is_scaled_down_to_the_clip(norm, clip, scale):
    recorder, config = Recorder(norm), TrainConfig(steps=10, clip=clip, warmup_steps=2, lr=0.5, beta1=0.8)
    assert Adam(None, None).update_(recorder, None, None, config, 4) == norm
    (call,) = recorder.calls
    assert call["scale"] == pytest.approx(scale, rel=1e-12)
    assert call["step"] == 5  # Adam counts from 1
    assert call["lr"] == learning_rate(config, 4)
    assert (call["beta1"], call["beta2"], call["epsilon"]) == (0.8, config.beta2, config.epsilon)


def arrays(backend, grads):
    rng = np.random.default_rng(0)
    flat, m, v = rng.random((3, len(grads)))
    return [backend.asarray(a, "float64") for a in (flat, grads, m, v)]


def test_the_first_step_goes_by_the_rate_against_the_sign(backend):
    flat, grads, _, _ = arrays(backend, [1e-3, -2.0, 0.0, 5.0])
    before = backend.to_numpy(flat)
    adam = Adam(backend.zeros(4, "float64"), backend.zeros(4, "float64"))
    config = TrainConfig(steps=10, lr=0.25, warmup_steps=0, clip=0.0, epsilon=1e-12)
    norm = adam.update_(backend, flat, grads, config, 0)
    assert norm == pytest.approx(math.sqrt(1e-6 + 4 + 25))
    np.testing.assert_allclose(backend.to_numpy(flat) - before, [-0.25, 0.25, 0, -0.25], rtol=1e-6)


def test_clipping_acts_like_a_smaller_gradient(backend):
    """The norm comes back as it was; m and v are those of the gradient at the clip."""
    flat, grads, _, _ = arrays(backend, [30.0, -40.0])
    adam = Adam(backend.zeros(2, "float64"), backend.zeros(2, "float64"))
    config = TrainConfig(steps=10, clip=5.0, beta1=0.9, beta2=0.99)
    assert adam.update_(backend, flat, grads, config, 0) == pytest.approx(50)
    np.testing.assert_allclose(backend.to_numpy(adam.m), [0.3, -0.4], rtol=1e-6)
    np.testing.assert_allclose(backend.to_numpy(adam.v), [0.09, 0.16], rtol=1e-6)
    np.testing.assert_array_equal(backend.to_numpy(grads), [30, -40])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_norm_that_is_not_finite_leaves_everything_as_it_was(backend, bad):
    flat, grads, m, v = arrays(backend, [1.0, bad, 2.0])
    before = [backend.to_numpy(a) for a in (flat, m, v)]
    norm = Adam(m, v).update_(backend, flat, grads, TrainConfig(steps=10), 3)
    assert not math.isfinite(norm)
    for array, kept in zip((flat, m, v), before, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), kept)
