"""Learning rate schedules, clipping, and updates with a gradient that is not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.backends.spec.gradients import clipping
from numlstm.errors import BackendError
from numlstm.settings.training import OPTIMIZERS, TrainingSettings
from numlstm.training.optimizers import Optimizer, Plateau, learning_rate


@pytest.fixture(params=registry.names())
def backend(request):
    try:
        return registry.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))


def test_the_rate_rises_on_a_line_and_falls_on_half_a_cosine():
    config = TrainingSettings(steps=1100, lr=2.0, lr_floor=0.1, warmup_steps=100)
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
    config = TrainingSettings(steps=500, lr=1.0, lr_floor=0.05, warmup_steps=50)
    rates = np.array([learning_rate(config, step) for step in range(500)])
    assert (np.diff(rates[:50]) > 0).all()
    assert (np.diff(rates[50:]) < 0).all()
    assert np.abs(np.diff(rates)).max() <= 1 / 50 + 1e-12
    assert rates.min() > 0
    assert rates[-1] == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("warmup", [0, 10, 20])
def test_odd_schedules_stay_in_range(warmup):
    config = TrainingSettings(steps=10, lr=1.0, warmup_steps=warmup)
    assert all(0 < learning_rate(config, step) <= 1 for step in range(10))
    flat = TrainingSettings(steps=10, lr=0.5, lr_floor=1.0, warmup_steps=0)
    assert {learning_rate(flat, step) for step in range(11)} == {0.5}


def rates(steps, **settings):
    config = TrainingSettings(steps=steps, lr=2.0, **settings)
    return [learning_rate(config, step) for step in range(steps)]


def test_a_constant_rate_stays_after_the_warm_up():
    assert rates(6, schedule="constant", warmup_steps=3) == pytest.approx([2 / 3, 4 / 3, 2, 2, 2, 2])


def test_a_line_goes_down_to_the_floor():
    found = rates(12, schedule="linear", warmup_steps=2, lr_floor=0.1)
    assert found[:3] == pytest.approx([1.0, 2.0, 2.0])
    assert np.diff(found[2:]) == pytest.approx([-0.18] * 9)
    config = TrainingSettings(steps=12, lr=2.0, schedule="linear", warmup_steps=2, lr_floor=0.1)
    assert learning_rate(config, 12) == pytest.approx(0.2)


def test_stairs_are_tensorflow_s_staircase():
    """lr * decay_rate ** floor(step / decay_steps), counted from the first step; the warm-up multiplies it."""
    found = rates(10, schedule="step", warmup_steps=0, decay_steps=4, decay_rate=0.5)
    assert found == pytest.approx([2.0] * 4 + [1.0] * 4 + [0.5] * 2)
    rising = rates(10, schedule="step", warmup_steps=5, decay_steps=4, decay_rate=0.5)
    assert rising == pytest.approx([0.4, 0.8, 1.2, 1.6, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5])


def test_a_plateau_lowers_the_rate_down_to_the_floor():
    config = TrainingSettings(steps=9, lr=2.0, schedule="plateau", warmup_steps=0, plateau_factor=0.1, lr_floor=0.05)
    assert [learning_rate(config, 5, reductions) for reductions in range(4)] == pytest.approx([2.0, 0.2, 0.1, 0.1])
    assert learning_rate(TrainingSettings(steps=9, lr=2.0, warmup_steps=0), 0, 3) == 2.0


def test_a_plateau_counts_epochs_that_are_no_better():
    plateau, seen = Plateau(), []
    for loss in (3.0, 2.0, 2.0, 1.9999, 2.5, 1.0, 1.0, 1.0, 1.0):
        plateau = plateau.after(loss, 1)
        seen.append((plateau.best, plateau.bad, plateau.reductions))
    assert seen == [
        (3.0, 0, 0),
        (2.0, 0, 0),
        (2.0, 1, 0),
        (2.0, 0, 1),  # lower, but by less than a ten-thousandth
        (2.0, 1, 1),
        (1.0, 0, 1),
        (1.0, 1, 1),
        (1.0, 0, 2),
        (1.0, 1, 2),
    ]


class Recorder:
    """A backend that reports a given gradient norm and records the calls of `adam_`."""

    def __init__(self, norm):
        self.norm, self.calls = norm, []

    def global_norm(self, grads):
        return self.norm

    def adam_(self, *arrays, **settings):
        self.calls.append(settings)


ADAM = {"m": None, "v": None}


@pytest.mark.parametrize(
    ("norm", "clip", "scale"),
    [(0.5, 1.0, 1.0), (4.0, 1.0, 1 / (4 + 1e-6)), (4.0, 2.0, 2 / (4 + 1e-6)), (4.0, 0.0, 1.0), (0.0, 1.0, 1.0)],
)
def test_a_gradient_is_scaled_down_to_the_clip(norm, clip, scale):
    recorder, config = Recorder(norm), TrainingSettings(steps=10, clip=clip, warmup_steps=2, lr=0.5, beta1=0.8)
    norms = Optimizer(ADAM).update_(recorder, None, None, config, 4)
    assert norms.read(clip) == pytest.approx((norm, norm * scale))
    (call,) = recorder.calls
    assert (call["norm"], call["clip"]) == (norm, clip)
    assert clipping(norm, clip) == pytest.approx(scale, rel=1e-12)
    assert call["step"] == 5  # Adam counts from 1
    assert call["lr"] == learning_rate(config, 4)
    assert (call["beta1"], call["beta2"], call["epsilon"]) == (0.8, config.beta2, config.epsilon)


def test_adam_counts_from_when_its_slots_were_fresh():
    recorder = Recorder(1.0)
    Optimizer(ADAM, began=90).update_(recorder, None, None, TrainingSettings(steps=100), 92)
    assert recorder.calls[0]["step"] == 3


@pytest.mark.parametrize(("optimizer", "l2", "decay"), [("adam", 0.3, 0.0), ("adamw", 0.0, 0.3)])
def test_weight_decay_is_the_gradient_s_or_the_parameters(optimizer, l2, decay):
    recorder = Recorder(1.0)
    Optimizer(ADAM).update_(recorder, None, None, TrainingSettings(steps=9, optimizer=optimizer, weight_decay=0.3), 0)
    assert (recorder.calls[0]["l2"], recorder.calls[0]["decay"]) == (l2, decay)


def arrays(backend, grads):
    rng = np.random.default_rng(0)
    flat, m, v = rng.random((3, len(grads)))
    return [backend.asarray(a, "float64") for a in (flat, grads, m, v)]


def fresh(backend, size, **settings):
    config = TrainingSettings(steps=10, **settings)
    return Optimizer.start(config, backend, size, "float64"), config


def test_the_first_step_goes_by_the_rate_against_the_sign(backend):
    flat, grads, _, _ = arrays(backend, [1e-3, -2.0, 0.0, 5.0])
    before = backend.to_numpy(flat)
    adam, config = fresh(backend, 4, lr=0.25, warmup_steps=0, clip=0.0, epsilon=1e-12)
    norm = float(adam.update_(backend, flat, grads, config, 0).before)
    assert norm == pytest.approx(math.sqrt(1e-6 + 4 + 25))
    np.testing.assert_allclose(backend.to_numpy(flat) - before, [-0.25, 0.25, 0, -0.25], rtol=1e-6)


def test_clipping_acts_like_a_smaller_gradient(backend):
    """The norm before clipping is returned; m and v are those of the clipped gradient."""
    flat, grads, _, _ = arrays(backend, [30.0, -40.0])
    adam, config = fresh(backend, 2, clip=5.0, beta1=0.9, beta2=0.99)
    assert adam.update_(backend, flat, grads, config, 0).read(5.0) == pytest.approx((50, 5))
    np.testing.assert_allclose(backend.to_numpy(adam.slots["m"]), [0.3, -0.4], rtol=1e-6)
    np.testing.assert_allclose(backend.to_numpy(adam.slots["v"]), [0.09, 0.16], rtol=1e-6)
    np.testing.assert_array_equal(backend.to_numpy(grads), [30, -40])


def test_entries_are_clipped_before_the_norm(backend):
    flat, grads, _, _ = arrays(backend, [3.0, -0.5, -40.0, 4.0])
    before = backend.to_numpy(flat)
    sgd, config = fresh(backend, 4, optimizer="sgd", lr=1.0, warmup_steps=0, clip=0.0, clip_value=4.0)
    norms = sgd.update_(backend, flat, grads, config, 0)
    assert norms.read(0.0) == pytest.approx((math.sqrt(9 + 0.25 + 1600 + 16), math.sqrt(9 + 0.25 + 16 + 16)))
    np.testing.assert_allclose(backend.to_numpy(flat), before - [3.0, -0.5, -4.0, 4.0])
    flat, grads, _, _ = arrays(backend, [30.0, -40.0])
    before = backend.to_numpy(flat)
    sgd, config = fresh(backend, 2, optimizer="sgd", lr=1.0, warmup_steps=0, clip=2.0, clip_value=4.0)
    assert sgd.update_(backend, flat, grads, config, 0).read(2.0)[1] == pytest.approx(2.0)
    np.testing.assert_allclose(backend.to_numpy(flat), before - np.array([1.0, -1.0]) * math.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_norm_that_is_not_finite_leaves_everything_as_it_was(backend, bad, optimizer):
    flat, grads, _, _ = arrays(backend, [1.0, bad, 2.0])
    run, config = fresh(backend, 3, optimizer=optimizer, clip_value=1.0, **OPTIMIZERS[optimizer])
    before = [backend.to_numpy(a) for a in (flat, *run.slots.values())]
    norms = run.update_(backend, flat, grads, config, 3)
    assert not math.isfinite(norms.read(1.0)[0])
    for array, kept in zip((flat, *run.slots.values()), before, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), kept)


def test_accumulators_start_where_they_are_told(backend):
    for optimizer, name in (("adagrad", "sum"), ("ftrl", "accumulator")):
        run, _ = fresh(backend, 2, optimizer=optimizer, initial_accumulator=0.25)
        assert backend.to_numpy(run.slots[name]).tolist() == [0.25, 0.25]
