"""Training learns, resumes exactly where it stopped, and reports when it cannot continue."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.backends.protocol import Backend
from numlstm.errors import CorpusError, DivergedError, WeightsError
from numlstm.model import Model
from numlstm.network import parameters, weights_file
from numlstm.network.weights_file import WeightsFile
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.dataset.streams import split
from numlstm.text.vocab.char import CharVocab
from numlstm.training.loop import Epoch, Progress, Step, train
from numlstm.training.state import TrainingState

CONFIG = TrainingSettings(steps=30, batch_size=4, seq_len=16, lr=0.01, warmup_steps=3, seed=5)


@pytest.fixture(params=["reference", "cpu"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return registry.load(request.param)


@pytest.fixture(scope="module")
def text(source_text: str) -> str:
    return source_text[:1500]


def new_run(
    text: str, backend: Backend, config: TrainingSettings = CONFIG, layers: tuple[int, ...] = (11, 7)
) -> TrainingState:
    vocab = CharVocab.from_text(text)
    model_config = NetworkSettings(len(vocab), layers)
    model = Model(model_config, parameters.initialise(model_config, config.seed), backend, vocab=vocab)
    return TrainingState.start(model, config)


def steps(run: TrainingState, text: str) -> Iterator[Progress]:
    return train(run, *split(run.model.vocab.encode(text), run.config.val_split))


def finish(run: TrainingState, text: str) -> list[Progress]:
    return list(steps(run, text))


def contents(file: WeightsFile) -> dict[str, np.ndarray]:
    state = file.state
    assert state is not None
    carried = {f"h{n}": h for n, h in enumerate(state.h)} | {f"c{n}": c for n, c in enumerate(state.c)}
    return {"best": file.params, "params": state.params, **state.slots, **carried}


def assert_same_bits(a: WeightsFile, b: WeightsFile) -> None:
    left, right = contents(a), contents(b)
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), name
    kept = ("best_loss", "best_step", "history", "epoch_loss")
    assert a.state is not None
    assert b.state is not None
    assert {k: a.state.record[k] for k in kept} == {k: b.state.record[k] for k in kept}


def test_loss_falls_and_validation_is_reported(text: str, backend: Backend) -> None:
    run = new_run(text, backend)
    seen = finish(run, text)
    steps_made = [p for p in seen if isinstance(p, Step)]
    assert [p.step for p in steps_made] == list(range(1, 31))
    assert steps_made[-1].loss < steps_made[0].loss - 0.3
    epochs = [p for p in seen if isinstance(p, Epoch)]
    assert [p.step for p in epochs] == [22, 30], "a run is validated at its end, even within an epoch"
    assert all(p.val_loss is not None and math.isfinite(p.val_loss) for p in epochs)
    assert [p.step for p in steps_made if p.last] == [22, 30]


def test_same_seed_same_bits_other_seed_other_bits(text: str, backend: Backend) -> None:
    runs = [new_run(text, backend) for _ in range(2)]
    for run in runs:
        finish(run, text)
    assert_same_bits(runs[0].to_file(), runs[1].to_file())
    other = new_run(text, backend, TrainingSettings(**{**CONFIG.to_dict(), "seed": 6}))
    finish(other, text)
    assert not np.array_equal(other.model.flat, runs[0].model.flat)


@pytest.mark.parametrize("stop", [17, 22, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 21, 29))])
def test_interrupted_and_resumed_equals_uninterrupted(text: str, backend: Backend, stop: int, tmp_path: Path) -> None:
    whole = new_run(text, backend)
    finish(whole, text)
    part = new_run(text, backend)
    for progress in steps(part, text):
        if progress.step == stop:
            break
    path = tmp_path / "part.npz"
    weights_file.save(path, part.to_file())
    resumed = TrainingState.resume(weights_file.load(path), backend)
    assert resumed.step == stop
    finish(resumed, text)
    assert_same_bits(whole.to_file(), resumed.to_file())


def test_a_run_moves_between_devices(text: str, tmp_path: Path) -> None:
    run = new_run(text, registry.load("cpu"))
    for progress in steps(run, text):
        if progress.step == 10:
            break
    weights_file.save(tmp_path / "w.npz", run.to_file())
    moved = TrainingState.resume(weights_file.load(tmp_path / "w.npz"), registry.load("reference"))
    finish(run, text)
    finish(moved, text)
    np.testing.assert_allclose(moved.model.flat, run.model.flat, rtol=0, atol=2e-3)


def test_best_parameters_are_those_of_the_lowest_validation_loss(text: str) -> None:
    # The run soon memorises so short a text, so the validation loss rises.
    text = text[:500]
    config = TrainingSettings(steps=240, batch_size=4, seq_len=16, lr=0.02, warmup_steps=1, lr_floor=1.0)
    run = new_run(text, registry.load("reference"), config, layers=(24,))
    kept: dict[int, np.ndarray] = {}
    losses: dict[int, float] = {}
    for progress in steps(run, text):
        if isinstance(progress, Epoch) and progress.val_loss is not None:
            kept[progress.step], losses[progress.step] = np.array(run.model.flat), progress.val_loss
    lowest = min(losses, key=lambda step: losses[step])
    assert lowest < max(losses), "the validation loss must rise for this test to mean anything"
    file = run.to_file()
    assert run.record.best_step == lowest
    np.testing.assert_array_equal(file.params, kept[lowest])
    assert file.state is not None
    np.testing.assert_array_equal(file.state.params, kept[240])


def test_without_validation_text_the_last_parameters_are_the_best(text: str, tmp_path: Path) -> None:
    config = TrainingSettings(**{**CONFIG.to_dict(), "val_split": 0.0})
    run = new_run(text, registry.load("reference"), config)
    assert all(p.val_loss is None for p in finish(run, text) if isinstance(p, Epoch))
    file = run.to_file()
    assert file.state is not None
    np.testing.assert_array_equal(file.params, file.state.params)
    weights_file.save(tmp_path / "w.npz", file)
    np.testing.assert_array_equal(
        TrainingState.resume(weights_file.load(tmp_path / "w.npz"), run.model.backend).best, file.params
    )


def test_training_never_sees_the_validation_tail(text: str) -> None:
    changed = text[:-140] + text[:140]
    assert set(changed) <= set(text)
    runs = [new_run(text, registry.load("reference")) for _ in range(2)]
    for run, read in zip(runs, (text, changed), strict=True):
        run.config = TrainingSettings(**{**CONFIG.to_dict(), "val_split": 0.1})
        finish(run, read)
    np.testing.assert_array_equal(runs[0].model.flat, runs[1].model.flat)
    assert runs[0].record.best_loss != runs[1].record.best_loss


def test_more_threads_learn_the_same_to_rounding(text: str) -> None:
    backend = registry.load("cpu")
    most = backend.set_threads(None)
    if most < 2:
        pytest.skip("this machine lets the process use one core only")
    found = []
    try:
        for threads in (1, 2, 2):
            backend.set_threads(threads)
            run = new_run(text, backend)
            finish(run, text)
            found.append(np.array(run.model.flat))
    finally:
        backend.set_threads(None)
    np.testing.assert_array_equal(found[1], found[2])
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=2e-3)


def test_a_loss_that_is_not_finite_stops_the_run(text: str, backend: Backend) -> None:
    run = new_run(text, backend)
    run.model.flat[-1] = np.nan
    run.model.pack()
    with pytest.raises(DivergedError, match=r"step 1 the loss is nan.*`lr`"):
        finish(run, text)


def test_an_exploding_learning_rate_stops_the_run(text: str) -> None:
    config = TrainingSettings(steps=60, batch_size=4, seq_len=16, lr=3e37, warmup_steps=0, clip=0.0)
    run = new_run(text, registry.load("reference"), config)
    with np.errstate(all="ignore"), pytest.raises(DivergedError):
        finish(run, text)


def test_too_short_a_text_is_an_error(backend: Backend) -> None:
    run = new_run("abcdefg", backend, TrainingSettings(steps=3, batch_size=32))
    with pytest.raises(CorpusError, match="too few for 32 parallel streams"):
        finish(run, "abcdefg")


def test_a_file_without_training_state_cannot_be_resumed(text: str, backend: Backend) -> None:
    run = new_run(text, backend)
    file = WeightsFile(run.model.config, run.model.vocab, parameters.initialise(run.model.config, 0), {}, None)
    with pytest.raises(WeightsError, match="no training state"):
        TrainingState.resume(file, backend)
