"""Training on a device that queues its work: the results of several steps are read together; all else is the same.

The device is the reference backend, marked as queuing and holding the text. Time is that of a fake clock.
"""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.backends.spec.gradients import Scaling
from numlstm.errors import DivergedError
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.vocab.char import CharVocab
from numlstm.training import loop as training
from numlstm.training.loop import Epoch, Step, train
from numlstm.training.state import TrainingState

CONFIG = TrainingSettings(steps=60, batch_size=4, seq_len=8, lr=0.01, warmup_steps=3, seed=5, reset_state=0.2)


class Clock:
    """A fake clock that advances when the device works, and slightly each time it is read."""

    now = 0.0

    def perf_counter(self):
        self.now += 1e-6
        return self.now


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(training, "time", CLOCK)


class Later:
    """A queued number; reading it appends the time to `waits`."""

    def __init__(self, value, waits):
        self.value, self.waits = value, waits

    def __float__(self):
        self.waits.append(CLOCK.now)
        return float(self.value)


def queued(waits=None, slow=0.0, precision="", **altered):
    """Return the reference backend as a queuing device that records in `waits` when its numbers are read."""
    waits = [] if waits is None else waits

    def softmax_cross_entropy(*arguments, **options):
        loss, dlogits = reference.softmax_cross_entropy(*arguments, **options)
        CLOCK.now += slow
        return Later(loss, waits), dlogits

    def pack_lstm(*arguments, **options):
        assert options.pop("precision") == precision
        return reference.pack_lstm(*arguments, **options)

    offered = {name: value for name, value in vars(reference).items() if not name.startswith("__")}
    own = {"softmax_cross_entropy": softmax_cross_entropy, "pack_lstm": pack_lstm, "queued": True, "hold": np.array}
    return types.SimpleNamespace(**{**offered, **own, **altered})


def trained(backend, text, config=CONFIG):
    vocab = CharVocab.from_text(text)
    model_config = NetworkSettings(len(vocab), (6,))
    flat = parameters.initialise(model_config, config.seed)
    run = TrainingState.start(Model(model_config, flat, backend, vocab=vocab, precision=config.precision), config)
    ids = vocab.encode(text)
    events, at = [], []
    for event in train(run, ids[:1000], ids[1000:]):
        events.append(event)
        at.append(run.step)
    return run, events, at


def told(events):
    """Return the events without their durations."""
    return [dataclasses.replace(event, seconds=0.0) if isinstance(event, Step) else event for event in events]


@pytest.mark.parametrize("batching", ["streams", "windows"])
def test_a_queued_run_is_the_same_run(source_text, batching):
    config = dataclasses.replace(CONFIG, batching=batching, reset_state=0.2 if batching == "streams" else 0.0)
    text = source_text[:1200]
    run, events, at = trained(queued(), text, config)
    plain, expected, _ = trained(reference, text, config)
    assert told(events) == told(expected)
    np.testing.assert_array_equal(run.model.flat, plain.model.flat)
    for name in ("epoch_loss", "epoch_tokens", "history", "position", "best_loss"):
        assert getattr(run.record, name) == getattr(plain.record, name)
    steps = [(event.step, step) for event, step in zip(events, at, strict=True) if isinstance(event, Step)]
    assert any(step < reached for step, reached in steps), "several steps are read together"
    assert all(event.step == step for event, step in zip(events, at, strict=True) if isinstance(event, Epoch))


def test_it_waits_about_ten_times_a_second_and_at_an_epoch_s_end(source_text):
    waits = []
    _, events, _ = trained(queued(waits, slow=0.003), source_text[:1200])
    pauses = np.diff(waits)
    readings = 1 + int((pauses > 0.002).sum())
    assert len(waits) >= len([event for event in events if isinstance(event, Step)])
    assert readings <= 25, "1, 2, 4, ... steps are read together, up to a tenth of a second of work"
    assert pauses.max() < 0.2, "not much more than a tenth of a second"


def test_a_slow_device_is_asked_after_every_step(source_text):
    config = dataclasses.replace(CONFIG, steps=4)
    _, events, at = trained(queued(slow=0.12), source_text[:1200], config)
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
    assert at == [1, 2, 3, 4, 4]


def test_short_epochs_do_not_make_it_read_ever_more_together(source_text, monkeypatch):
    """The number doubled after each epoch would overflow after a thousand epochs of one step."""
    asked, steps = [], training._steps

    def noted(run, reader, feed, most):
        asked.append(most)
        return steps(run, reader, feed, most)

    monkeypatch.setattr(training, "_steps", noted)
    config = dataclasses.replace(CONFIG, batch_size=20, seq_len=50)
    trained(queued(slow=0.001), source_text[:1001], config)
    assert len(asked) == 60
    assert max(asked) <= 100


def test_a_run_that_diverges_says_at_which_step(source_text):
    def softmax_cross_entropy(logits, targets, *, scale=None):
        softmax_cross_entropy.calls += 1
        loss, dlogits = reference.softmax_cross_entropy(logits, targets, scale=scale)
        return loss, dlogits * (np.nan if softmax_cross_entropy.calls == 13 else 1)

    softmax_cross_entropy.calls = 0
    with pytest.raises(DivergedError, match=r"at step 13 the loss is .* norm nan"):
        trained(queued(softmax_cross_entropy=softmax_cross_entropy), source_text[:1200])


def test_fp16_scales_the_loss_and_takes_it_back(source_text):
    """The scale is a power of two, so the parameters are bit for bit those without it."""
    config = dataclasses.replace(CONFIG, precision="fp16")
    run, events, _ = trained(queued(precision="fp16"), source_text[:1200], config)
    plain, expected, _ = trained(reference, source_text[:1200])
    np.testing.assert_array_equal(run.model.flat, plain.model.flat)
    assert told(events) == told(expected)
    assert run.to_file().state.record["loss_scale"] == (Scaling.START, 60)
    going_on = TrainingState.resume(run.to_file(), queued(precision="fp16"))
    np.testing.assert_array_equal(going_on.loss_scale, [Scaling.START, 60])


def test_fp16_leaves_a_step_out_whose_gradient_overflows(source_text):
    def dense_backward(dlogits, h, packed, dW, db):
        dh = reference.dense_backward(dlogits, h, packed, dW, db)
        if np.abs(dlogits).max() > 300:  # would overflow in 16 bits
            dW[...] = np.inf
        return dh

    config = dataclasses.replace(CONFIG, precision="fp16", steps=20)
    run, events, _ = trained(queued(precision="fp16", dense_backward=dense_backward), source_text[:1200], config)
    scale, good = run.loss_scale
    left_out = [event for event in events if isinstance(event, Step) and not np.isfinite(event.gradient_norm)]
    assert left_out
    assert scale == Scaling.START / 2 ** len(left_out)
    assert good == 20 - len(left_out)
    assert np.isfinite(run.model.flat).all()
    assert events[-2].loss < events[0].loss


def test_fp16_whose_gradients_are_infinite_at_any_scale_diverges(source_text):
    def dense_backward(dlogits, h, packed, dW, db):
        dW[...] = np.inf
        return reference.dense_backward(dlogits, h, packed, dW, db)

    config = dataclasses.replace(CONFIG, precision="fp16")
    with pytest.raises(DivergedError, match=r"at step 25 .* norm inf; .* `precision` float32"):
        trained(queued(precision="fp16", dense_backward=dense_backward), source_text[:1200], config)
