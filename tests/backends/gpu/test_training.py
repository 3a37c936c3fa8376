"""Rung 3: training on the emulated GPU matches the reference, and the host seldom waits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests import emulation
from tests.backends.gpu.parameters import slow

if emulation.missing():
    pytest.skip(emulation.missing(), allow_module_level=True)

from numlstm.backends import reference, registry
from numlstm.network import parameters, weights_file

if "gpu" not in registry.names():
    pytest.skip("there is no backend for the GPU", allow_module_level=True)

import cupy

from numlstm.cli.shared.device_errors import device_failure_message
from numlstm.model import Model
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.dataset.streams import split
from numlstm.text.vocab.char import CharVocab
from numlstm.training import loop as training
from numlstm.training.loop import Step, train
from numlstm.training.state import TrainingState

CONFIG = TrainingSettings(steps=10, batch_size=5, seq_len=8, lr=0.01, warmup_steps=3, seed=5, clip=0.5, val_split=0.0)
CONFIGS = [CONFIG, slow(dataclasses.replace(CONFIG, steps=50))]
each_length = pytest.mark.parametrize("config", CONFIGS, ids=["10 steps", "50 steps"])
OFTEN = ("plain", "layer norm and a projection")
OPTIONS = {
    "plain": ({}, {}),
    "dropout and an embedding": ({"embedding": 6}, {"dropout": 0.2, "recurrent_dropout": 0.2}),
    "layer norm and a projection": ({"layer_norm": True, "projection": 5}, {"batching": "windows"}),
    "rmsprop, averaged": ({}, {"optimizer": "rmsprop", "average": 0.9}),
}


@pytest.fixture(autouse=True)
def read_seldom(monkeypatch):
    """Read back 1, 2, 4, ... steps at a time, however fast this machine is."""
    monkeypatch.setattr(training, "_READING_SECONDS", 1e6)


def new_run(text, backend, config=CONFIG, layers=(9, 7), **options):
    vocab = CharVocab.from_text(text)
    shape = NetworkSettings(len(vocab), layers, **{"dtype": "float64", **options})
    flat = parameters.initialise(shape, config.seed)
    return TrainingState.start(Model(shape, flat, backend, vocab=vocab, precision=config.precision), config)


def finish(run, text):
    events = list(train(run, *split(run.model.vocab.encode(text), run.config.val_split)))
    return [event for event in events if isinstance(event, Step)]


@pytest.fixture(scope="module")
def text(source_text):
    return source_text[:1500]


@each_length
@pytest.mark.parametrize(
    "options",
    [pytest.param(each, id=name, marks=() if name in OFTEN else pytest.mark.slow) for name, each in OPTIONS.items()],
)
def test_steps_are_those_of_the_reference(device, text, options, config):
    shape, settings = options
    config = dataclasses.replace(config, **settings)
    runs = [new_run(text, backend, config, **shape) for backend in (registry.load("gpu"), reference)]
    found, expected = (finish(run, text) for run in runs)
    assert len(found) == len(expected) == config.steps
    for name in ("loss", "gradient_norm", "clipped_norm", "lr", "tokens"):
        np.testing.assert_allclose(*([getattr(each, name) for each in of] for of in (found, expected)), rtol=1e-9)
    flats = [run.model.backend.to_numpy(run.model.flat) for run in runs]
    np.testing.assert_allclose(*flats, rtol=1e-7, atol=1e-9)
    assert config.steps == 10 or expected[-1].loss < expected[0].loss


@each_length
def test_steps_in_float32(device, text, config):
    runs = [new_run(text, backend, config, dtype="float32") for backend in (registry.load("gpu"), reference)]
    found, expected = ([step.loss for step in finish(run, text)] for run in runs)
    np.testing.assert_allclose(found, expected, rtol=2e-4)


@each_length
@pytest.mark.parametrize("precision", [slow("tf32"), slow("bf16"), "fp16"])
def test_steps_of_lower_precision_learn_the_same(device, text, precision, config):
    lower = dataclasses.replace(config, precision=precision)
    run = new_run(text, registry.load("gpu"), lower, dtype="float32")
    found = [step.loss for step in finish(run, text)]
    expected = [step.loss for step in finish(new_run(text, reference, config, dtype="float32"), text)]
    assert found != expected
    np.testing.assert_allclose(found[-1], expected[-1], rtol=0.1)


@each_length
def test_what_was_trained_draws_what_the_reference_draws(device, text, config):
    run = new_run(text, registry.load("gpu"), config)
    finish(run, text)
    other = Model(run.model.config, run.to_file().params, reference, vocab=run.model.vocab)
    prompts = [text[:5], text[7:9], text[30:40]]
    drawn = [model.generate_many(prompts, length=40, temperature=0.7, seed=3) for model in (run.model, other)]
    assert drawn[0] == drawn[1]
    assert run.model.generate(text[:3], length=40, temperature=0.0) == other.generate(
        text[:3], length=40, temperature=0.0
    )


@each_length
@pytest.mark.parametrize("begun", ["gpu", slow("reference")])
def test_a_run_goes_on_on_another_device(device, text, begun, config, tmp_path):
    on = {"gpu": registry.load("gpu"), "reference": reference}
    first = on.pop(begun)
    run = new_run(text, first, config)
    for event in train(run, *split(run.model.vocab.encode(text), 0.0)):
        if isinstance(event, Step) and run.step >= 0.4 * config.steps:
            break
    weights_file.save(tmp_path / "w.npz", run.to_file())
    moved = TrainingState.resume(weights_file.load(tmp_path / "w.npz"), *on.values())
    finish(moved, text)
    whole = new_run(text, reference, config)
    finish(whole, text)
    flats = [each.model.backend.to_numpy(each.model.flat) for each in (moved, whole)]
    np.testing.assert_allclose(*flats, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(device, text):
    flats = []
    for order in (0, 1, 7):
        device.order = order
        run = new_run(text, registry.load("gpu"), dataclasses.replace(CONFIG, steps=50), dtype="float32")
        finish(run, text)
        flats.append(run.model.backend.to_numpy(run.model.flat))
    for flat in flats[1:]:
        np.testing.assert_array_equal(flat, flats[0])


# Steps are read back after steps 1, 3, 7, 15, 31, 38 (the last of an epoch) and 50, with one wait each.
@pytest.mark.parametrize(("steps", "waits"), [(10, 4), slow(50, 7)])
def test_the_host_waits_once_for_many_steps(device, text, steps, waits):
    run = new_run(text, registry.load("gpu"), dataclasses.replace(CONFIG, steps=steps))
    before = device.counts.synchronisations
    assert len(finish(run, text)) == steps
    assert device.counts.synchronisations - before == waits


def test_a_step_sends_nothing_but_where_it_reads(device, text):
    """In a long epoch whose corpus is on the device, windows are cut there."""
    run = new_run(text, registry.load("gpu"), dataclasses.replace(CONFIG, steps=50))
    events = train(run, run.model.vocab.encode(text), np.empty(0, np.uint8))
    for _ in range(3):
        next(events)
    before = device.counts.uploads, run.step
    while run.step < 15:
        next(events)
    assert device.counts.uploads - before[0] <= 2 * (run.step - before[1])


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "waits"), [(10, 4), (50, 7)])
def test_a_text_that_is_read_here_does_not_make_the_host_wait_either(device, text, steps, waits, monkeypatch):
    """For a corpus too large for the device, the host reads the next batch while the device computes."""
    config = dataclasses.replace(CONFIG, steps=steps)
    held, sent = (new_run(text, registry.load("gpu"), config) for _ in range(2))
    expected = finish(held, text)
    monkeypatch.setattr(registry.load("gpu"), "hold", lambda ids: None)
    before = device.counts.synchronisations
    found = finish(sent, text)
    assert device.counts.synchronisations - before == waits
    assert [step.loss for step in found] == [step.loss for step in expected]


def test_too_large_a_network_says_what_to_lower(device, text):
    backend = registry.load("gpu")
    device.memory.capacity = device.memory.used + 2_000_000
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError) as error:
        new_run(text, backend, layers=(300,))
    assert device_failure_message(error.value, "train").startswith("out of memory on the GPU (out of memory allocating")
    device.memory.capacity = device.card.memory
    new_run(text, backend, layers=(300,))


@pytest.mark.slow
@pytest.mark.parametrize("sm", [75, 86])
def test_cards_with_less_shared_memory(device, text, sm):
    device.card.sm, device.card.processors = sm, 20
    device.card.shared_per_block = {75: 64, 86: 99}[sm] * 1024
    config = dataclasses.replace(CONFIG, steps=4)
    runs = [new_run(text, backend, config, layers=(70,)) for backend in (registry.load("gpu"), reference)]
    found, expected = ([step.loss for step in finish(run, text)] for run in runs)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
