"""A run resumes exactly where it stopped with every kind of setting, and sensibly when its settings change."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.backends.spec.dropout import Dropout
from numlstm.errors import ConfigError
from numlstm.model import Model
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import OPTIMIZERS, TrainingSettings
from numlstm.text.dataset.streams import split
from numlstm.text.vocab.char import CharVocab
from numlstm.training import loop
from numlstm.training.loop import Epoch, Progress, Step
from numlstm.training.optimizers import Plateau
from numlstm.training.state import TrainingState, batches, epochs_in, steps_for

BASE: dict[str, Any] = {"steps": 26, "batch_size": 4, "seq_len": 8, "warmup_steps": 3, "seed": 5}


@pytest.fixture(scope="module")
def text(source_text: str) -> str:
    return source_text[:560]  # 504 characters for training, 125 targets in each of 4 streams: 16 steps an epoch


def new_run(text: str, network: dict[str, Any] | None = None, **settings: Any) -> TrainingState:
    vocab = CharVocab.from_text(text)
    model_config = NetworkSettings(len(vocab), (7, 5), **(network or {}))
    config = TrainingSettings(**{**BASE, **settings})
    flat = parameters.initialise(model_config, config.seed)
    return TrainingState.start(Model(model_config, flat, registry.load("reference"), vocab=vocab), config)


def parts(run: TrainingState, text: str) -> tuple[np.ndarray, np.ndarray]:
    return split(run.model.vocab.encode(text), run.config.val_split)


def go(run: TrainingState, text: str, until: int = 2**31) -> list[Progress]:
    """Train to the end, or up to the first event at or after step `until`; return the events."""
    seen = []
    for event in loop.train(run, *parts(run, text)):
        seen.append(event)
        if event.step >= until:
            break
    return seen


def saved(run: TrainingState, path: Path) -> TrainingState:
    weights_file.save(path, run.to_file())
    return TrainingState.resume(weights_file.load(path), run.model.backend)


def contents(run: TrainingState) -> dict[str, Any]:
    """Return everything that a file stores except the seconds, with arrays as bytes."""
    file = run.to_file()
    assert file.state is not None
    state = file.state
    arrays = {"best": file.params, "params": state.params, **state.slots}
    arrays |= {f"h{n}": h for n, h in enumerate(state.h)} | {f"c{n}": c for n, c in enumerate(state.c)}
    record = {name: value for name, value in state.record.items() if name != "seconds"}
    return {**{name: array.tobytes() for name, array in arrays.items()}, "record": record, "config": state.config}


KINDS: dict[str, dict[str, Any]] = {
    **{name: {"optimizer": name, **settings} for name, settings in OPTIMIZERS.items()},
    "rmsprop, momentum": {"optimizer": "rmsprop", "momentum": 0.5},
    "constant": {"schedule": "constant", "clip_value": 0.01},
    "linear": {"schedule": "linear"},
    "step": {"schedule": "step", "decay_steps": 7},
    "plateau": {"schedule": "plateau", "lr": 0.4, "plateau_patience": 1, "steps": 60, "batch_size": 8},
    "patience": {"schedule": "constant", "lr": 0.5, "patience": 3, "steps": 200, "batch_size": 8},
    "windows": {"batching": "windows"},
    "dropout": {"dropout": 0.3},
    "average": {"average": 0.9},
    "reset state": {"reset_state": 0.3},
    "recurrent dropout": {"recurrent_dropout": 0.3},
    "overlapping windows": {"batching": "windows", "window_step": 3, "steps_per_epoch": 11},
}


@pytest.mark.parametrize("stop", [16, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 25))])
@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_and_resumed_equals_uninterrupted(text: str, kind: str, stop: int, tmp_path: Path) -> None:
    whole, part = (new_run(text, **KINDS[kind]) for _ in range(2))
    go(whole, text)
    go(part, text, until=stop)
    resumed = saved(part, tmp_path / "part.npz")
    assert resumed.step == stop
    go(resumed, text)
    assert contents(resumed) == contents(whole)


NETWORKS: list[dict[str, Any]] = [
    {"embedding": 6, "layer_norm": True},
    {"projection": 3, "gate_activation": "hard-sigmoid"},
    {"embedding": 3, "projection": 3, "tie_weights": True},
]


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_every_network_goes_on_exactly(text: str, network: dict[str, Any], optimizer: str, tmp_path: Path) -> None:
    settings = {"optimizer": optimizer, **OPTIMIZERS[optimizer], "dropout": 0.2}
    whole, part = (new_run(text, network, **settings) for _ in range(2))
    before = whole.model.flat.copy()
    go(whole, text)
    assert not np.array_equal(whole.model.flat, before)
    go(part, text, until=19)
    resumed = saved(part, tmp_path / "part.npz")
    go(resumed, text)
    assert contents(resumed) == contents(whole)


def test_streams_begin_anew_as_often_as_they_are_told_to(text: str) -> None:
    run, begun, steps = new_run(text, reset_state=0.25, steps=160), 0, 0
    gradients = run.model.gradients_  # gets the state that a step starts from

    def seen(ids: Any, targets: Any, state: Any, **options: Any) -> Any:
        nonlocal begun, steps
        fresh = [not any(part[row].any() for pair in state for part in pair) for row in range(4)]
        if run.record.position:  # all streams start fresh at an epoch's start
            begun, steps = begun + sum(fresh), steps + 4
        return gradients(ids, targets, state, **options)

    run.model.gradients_ = seen  # type: ignore[method-assign]
    go(run, text)
    assert 0.2 < begun / steps < 0.3


@pytest.mark.slow
def test_each_kind_is_another_run(text: str) -> None:
    ends = {}
    for kind, settings in KINDS.items():
        run = new_run(text, **{**settings, "steps": 26})
        go(run, text)
        ends[kind] = run.model.flat.tobytes() + run.best.tobytes()
    assert len(set(ends.values())) == len(ends)


def test_a_file_of_before_positions_were_kept_goes_on_to_the_same_bits(text: str) -> None:
    for stop in (15, 16, 17):
        whole, part = new_run(text), new_run(text)
        go(whole, text)
        go(part, text, until=stop)
        file = part.to_file()
        assert file.state is not None
        old = ("best_loss", "best_step", "epoch_loss", "epoch_tokens", "seconds", "history")
        file.state.record = {name: file.state.record[name] for name in old}
        resumed = TrainingState.resume(file, part.model.backend)
        go(resumed, text)
        found, expected = contents(resumed), contents(whole)
        found["record"].pop("stale_epochs"), expected["record"].pop("stale_epochs")
        found["record"].pop("plateau"), expected["record"].pop("plateau")
        assert found == expected


def test_patience_ends_the_run(text: str) -> None:
    run = new_run(text, **KINDS["patience"])
    events = [event for event in go(run, text) if isinstance(event, Epoch)]
    assert [event.best for event in events[-3:]] == [False] * 3
    assert events[-4].best
    assert run.step < run.config.steps
    assert run.finished
    assert run.complete
    assert go(run, text) == [], "a run that has run out of patience does not resume"
    run.config = dataclasses.replace(run.config, patience=4)
    assert not run.finished
    assert len([e for e in go(run, text, until=run.step + 100) if isinstance(e, Step)]) >= 1


def test_a_new_patience_that_is_used_up_within_an_epoch_completes_the_run(text: str) -> None:
    run = new_run(text, **{**KINDS["patience"], "patience": 0})
    for event in loop.train(run, *parts(run, text)):
        if isinstance(event, Step) and run.record.stale_epochs >= 2 and not event.last:
            break
    assert not run.complete
    run.config = dataclasses.replace(run.config, patience=2)
    assert go(run, text) == []
    assert run.complete, "otherwise it would be reported as unfinished but never continue"


def test_a_plateau_lowers_the_rate_of_the_steps(text: str) -> None:
    run = new_run(text, **KINDS["plateau"])
    rates = [event.lr for event in go(run, text) if isinstance(event, Step)]
    assert rates[3] == 0.4
    assert run.record.plateau.reductions >= 1
    assert rates[-1] <= 0.2


def test_the_end_of_a_run_within_an_epoch_is_no_whole_epoch(text: str) -> None:
    run = new_run(text, steps=20, schedule="constant", lr=0.5, patience=1)
    events = [event for event in go(run, text) if isinstance(event, Epoch)]
    assert [(event.step, event.epoch, event.whole) for event in events] == [(16, 1, True), (20, 2, False)]
    assert run.record.stale_epochs == 0


@pytest.mark.parametrize("setting", [{"patience": 2}, {"schedule": "plateau"}])
def test_what_goes_by_the_validation_loss_needs_text_for_it(text: str, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected `val_split` above 0"):
        go(new_run(text, val_split=0.0, **setting), text)


def test_windows_start_from_a_state_of_zeros(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams carry the state on, except to the first window of an epoch."""
    for batching, zeros in (("windows", [True] * 18), ("streams", [True] + [False] * 15 + [True, False])):
        run = new_run(text, batching=batching, steps=18, steps_per_epoch=16 * (batching == "windows"))
        gradients, seen = run.model.gradients_, []

        def spy(ids: Any, targets: Any, state: Any, gradients: Any = gradients, seen: list[bool] = seen) -> Any:
            seen.append(not any(h.any() or c.any() for h, c in state))
            return gradients(ids, targets, state)

        monkeypatch.setattr(run.model, "gradients_", spy)
        go(run, text)
        assert seen == zeros


def test_dropout_reaches_the_network_with_seed_and_step(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, told = new_run(text, dropout=0.2, recurrent_dropout=0.1, steps=2), []
    gradients = run.model.gradients_

    def spy(ids: Any, targets: Any, state: Any, dropout: Dropout) -> Any:
        told.append(dropout)
        return gradients(ids, targets, state)

    monkeypatch.setattr(run.model, "gradients_", spy)
    go(run, text)
    assert told == [Dropout(0.2, 0.1, 5, 0), Dropout(0.2, 0.1, 5, 1)]


class Reader:
    """Records the inputs that a run reads."""

    def __init__(self, run: TrainingState, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[np.ndarray] = []
        gradients = run.model.gradients_

        def spy(ids: Any, targets: Any, state: Any) -> Any:
            self.read.append(ids)
            return gradients(ids, targets, state)

        monkeypatch.setattr(run.model, "gradients_", spy)


def test_another_length_reads_on_where_the_run_was(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(text, steps=500)
    reader = Reader(run, monkeypatch)
    go(run, text, until=5)
    carried = [h.copy() for h, _ in run.carried]
    run.change_(dataclasses.replace(run.config, seq_len=15), parts(run, text)[0])
    for h, kept in zip(run.carried, carried, strict=True):
        np.testing.assert_array_equal(h[0], kept)
    ended = next(event for event in loop.train(run, *parts(run, text)) if isinstance(event, Epoch))
    read = np.concatenate(reader.read)
    ids = parts(run, text)[0]
    length = (len(ids) - 1) // 4
    for b in range(4):
        np.testing.assert_array_equal(read[:, b], ids[b * length : (b + 1) * length])
    assert (ended.epoch, ended.step) == (1, 5 + 6)


@pytest.mark.parametrize(
    "change", [{"batch_size": 7}, {"batching": "windows"}, {"batching": "windows", "batch_size": 2, "seq_len": 5}]
)
def test_another_cut_goes_on_at_the_same_share(text: str, change: dict[str, Any]) -> None:
    run = new_run(text, steps=500)
    go(run, text, until=8)
    train_ids = parts(run, text)[0]
    run.change_(dataclasses.replace(run.config, **change), train_ids)
    after = batches(train_ids, run.config)
    assert run.record.position / after.size == pytest.approx(8 * 8 / 125, abs=1 / after.size)
    assert not any(h.any() or c.any() for h, c in run.carried)
    assert run.carried[0][0].shape == (run.config.batch_size, 7)
    go(run, text, until=run.step + 3)


def test_at_the_end_of_an_epoch_another_cut_starts_the_next(text: str) -> None:
    run = new_run(text, steps=500)
    go(run, text, until=16)
    run.change_(dataclasses.replace(run.config, batch_size=3, seq_len=9), parts(run, text)[0])
    events = go(run, text, until=17)
    assert [(type(event), event.epoch) for event in events] == [(Epoch, 1), (Step, 2)]


def test_another_optimizer_starts_afresh_but_adam_s_take_over(text: str) -> None:
    ids = None
    for before, after, kept in (
        ("adam", "adamw", True),
        ("adamw", "adam", True),
        ("adam", "rmsprop", False),
        ("sgd", "adam", False),
        ("momentum", "ftrl", False),
    ):
        run = new_run(text, optimizer=before, **OPTIMIZERS[before])
        go(run, text, until=8)
        ids = parts(run, text)[0]
        slots = run.optimizer.slots
        run.change_(dataclasses.replace(run.config, optimizer=after, **OPTIMIZERS[after]), ids)
        assert tuple(run.optimizer.slots) == run.config.slots
        assert (run.optimizer.slots is slots) == kept
        assert run.optimizer.began == (0 if kept else 8)
        go(run, text, until=10)
    run = new_run(text, optimizer="rmsprop")
    go(run, text, until=8)
    run.change_(dataclasses.replace(run.config, momentum=0.5), parts(run, text)[0])
    assert tuple(run.optimizer.slots) == ("square", "velocity")


def test_fresh_slots_survive_a_file(text: str, tmp_path: Path) -> None:
    run = new_run(text, optimizer="sgd", lr=0.1)
    go(run, text, until=8)
    run.change_(dataclasses.replace(run.config, optimizer="adam", lr=0.01), parts(run, text)[0])
    resumed = saved(run, tmp_path / "w.npz")
    assert resumed.optimizer.began == 8
    go(run, text)
    go(resumed, text)
    assert contents(run) == contents(resumed)


def test_another_rate_ends_the_reductions_of_a_plateau(text: str) -> None:
    run = new_run(text, schedule="plateau")
    run.record.plateau = Plateau(2.0, 1, 3)
    ids = parts(run, text)[0]
    run.change_(dataclasses.replace(run.config, clip=0.5), ids)
    assert run.record.plateau.reductions == 3
    run.change_(dataclasses.replace(run.config, lr=0.5), ids)
    assert run.record.plateau.reductions == 0


def test_epochs_and_steps_from_anywhere(text: str) -> None:
    run = new_run(text, steps=40)
    reader = batches(parts(run, text)[0], run.config)
    assert (steps_for(run, reader, 3), epochs_in(run, reader)) == (48, 3)
    go(run, text, until=16)
    assert (steps_for(run, reader, 1), steps_for(run, reader, 3), epochs_in(run, reader)) == (16, 48, 3)
    go(run, text, until=20)
    assert (steps_for(run, reader, 1), steps_for(run, reader, 2), epochs_in(run, reader)) == (20, 32, 3)
    run.change_(dataclasses.replace(run.config, seq_len=16), parts(run, text)[0])
    reader = batches(parts(run, text)[0], run.config)
    assert steps_for(run, reader, 2) == 20 + 6
    assert steps_for(run, reader, 3) == 20 + 6 + 8


def test_a_snapshot_is_the_network_as_it_is(text: str, tmp_path: Path) -> None:
    run = new_run(text)
    go(run, text, until=5)
    weights_file.save(tmp_path / "s.npz", run.snapshot())
    file = weights_file.load(tmp_path / "s.npz")
    assert file.state is None
    assert file.summary["steps"] == 5
    np.testing.assert_array_equal(file.params, run.model.flat)


def test_more_steps_at_a_constant_rate_are_those_of_a_longer_run(text: str, tmp_path: Path) -> None:
    """With a cosine schedule they differ, and the command line says so."""
    for schedule, same in (("constant", True), ("cosine", False)):
        whole, part = new_run(text, schedule=schedule, steps=40), new_run(text, schedule=schedule, steps=20)
        go(whole, text)
        go(part, text)
        resumed = saved(part, tmp_path / "part.npz")
        resumed.config = dataclasses.replace(resumed.config, steps=40)
        go(resumed, text)
        assert np.array_equal(resumed.model.flat, whole.model.flat) == same


def test_a_history_does_not_grow_without_end(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short text may have hundreds of thousands of epochs, and every save writes the whole history."""
    monkeypatch.setattr("numlstm.training.loop._LOSSES", 8)
    run = new_run(text, batch_size=60, steps=40, seq_len=4)  # 2 steps an epoch
    ends = [event.step for event in go(run, text) if isinstance(event, Epoch)]
    kept = [step for step, *_ in run.record.history]
    assert len(ends) == 20
    assert len(kept) <= 8
    assert (kept[0], kept[-5:]) == (ends[0], ends[-5:])
    assert kept == sorted(set(kept))
