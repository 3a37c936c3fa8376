"""Runs can be iterated, abandoned, continued, saved, stopped and displayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numlstm
from numlstm.monitoring import run_log
from numlstm.network import weights_file
from numlstm.training.samples import TEMPERATURES, Samples
from numlstm.training.stopping import Stop

TEXT = "the cat and the dog, the bird and the fish.\n" * 40
TINY: dict[str, Any] = {"layers": (5, 4), "batch_size": 4, "seq_len": 8, "device": "reference"}


def trained(run: numlstm.Run) -> numlstm.Run:
    for _ in run:
        pass
    return run


def test_a_run_yields_steps_and_epochs_and_writes() -> None:
    run = numlstm.new_run(text=TEXT, epochs=2, **TINY)
    events = list(run)
    steps = [event for event in events if isinstance(event, numlstm.Step)]
    epochs = [event for event in events if isinstance(event, numlstm.Epoch)]
    assert [event.step for event in steps] == [*range(1, run.settings.steps + 1)]
    assert [event.epoch for event in epochs] == [1, 2]
    assert run.finished
    assert run.step == run.settings.steps
    assert [(step, loss) for step, loss, _ in run.history] == [(epoch.step, epoch.loss) for epoch in epochs]
    assert run.best_loss == min(epoch.val_loss or 9.0 for epoch in epochs)
    assert len(run.model.generate("the ", length=20)) == 20


def test_a_loop_may_be_left_and_another_goes_on() -> None:
    whole, left = (numlstm.new_run(text=TEXT, steps=20, **TINY) for _ in range(2))
    trained(whole)
    for event in left:
        if event.step == 7:
            break
    assert (left.step, left.finished) == (7, False)
    trained(left)
    np.testing.assert_array_equal(left.model.flat, whole.model.flat)


def test_a_loop_that_is_left_is_saved(tmp_path: Path) -> None:
    run = numlstm.new_run(text=TEXT, steps=20, output=tmp_path / "w.npz", **TINY)
    loop = iter(run)
    while next(loop).step < 5:
        pass
    loop.close()  # type: ignore[attr-defined]  # as leaving the loop does
    assert weights_file.load(tmp_path / "w.npz").state.step == 5  # type: ignore[union-attr]


def test_samples_come_if_they_are_asked_for() -> None:
    run = numlstm.new_run(text=TEXT, epochs=4, sample_length=6, sample_every=2, prompt="the ", **TINY)
    samples = [event for event in run if isinstance(event, Samples)]
    assert [each.epoch for each in samples] == [2, 4]
    assert {len(text) for each in samples for text in each.texts.values()} == {6}
    assert [*samples[0].texts] == [*TEMPERATURES]
    assert not [each for each in numlstm.new_run(text=TEXT, epochs=1, **TINY) if isinstance(each, Samples)]


def test_time_ends_a_run() -> None:
    run = numlstm.new_run(text=TEXT, steps=100_000, max_time=0.2, **TINY)
    trained(run)
    assert 0 < run.step < 100_000


def test_a_stop_ends_a_run_after_the_step() -> None:
    run, stop = numlstm.new_run(text=TEXT, steps=20, **TINY), Stop()
    for event in run.events(stop):
        stop.by_user = event.step == 6
    assert run.step == 6


def test_a_full_disk_is_a_warning_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = numlstm.new_run(text=TEXT, epochs=2, output=tmp_path / "w.npz", **TINY)
    failing = [numlstm.WeightsError("no room")]

    def save(path: str, file: weights_file.WeightsFile) -> None:
        if failing:
            raise failing.pop()
        original(path, file)

    original = weights_file.save
    monkeypatch.setattr(weights_file, "save", save)
    with pytest.warns(UserWarning, match="not saved: no room"):
        trained(run)
    assert weights_file.load(tmp_path / "w.npz").state.step == run.step  # type: ignore[union-attr]


def test_saving_needs_a_place_and_overwrites_nothing_unasked(tmp_path: Path) -> None:
    run = numlstm.new_run(text=TEXT, steps=1, **TINY)
    with pytest.raises(numlstm.ConfigError, match="expected a path"):
        run.save()
    run.save(tmp_path / "w.npz")
    with pytest.raises(numlstm.StorageError, match="exists"):
        run.save(tmp_path / "w.npz")
    run.save(tmp_path / "w.npz", overwrite=True)


def test_a_run_shows_itself() -> None:
    run = trained(numlstm.new_run(text=TEXT, epochs=1, **TINY))
    assert repr(run).startswith("<numlstm run: layers 5,4, step ")
    assert "<table>" in run._repr_html_()
    assert run._repr_html_().count("<tr>") == 2


def test_a_run_is_logged_and_keeps_snapshots_if_it_is_asked_to(tmp_path: Path) -> None:
    log, output = tmp_path / "run.jsonl", tmp_path / "w.npz"
    trained(numlstm.new_run(text=TEXT, epochs=2, log=str(log), output=output, snapshot_epochs="0,1", **TINY))
    kinds = [json.loads(line)["event"] for line in log.read_text("utf-8").splitlines()]
    assert (kinds[0], kinds[-1], kinds.count("epoch")) == ("start", "end", 2)
    assert {path.name for path in tmp_path.glob("*.npz")} == {"w.npz", "w-epoch0.npz", "w-epoch1.npz"}


def test_a_run_that_is_left_and_gone_on_with_is_one_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    run = numlstm.new_run(text=TEXT, steps=12, log=str(log), **TINY)
    for event in run:
        if event.step == 5:
            break
    trained(run)
    steps = [event["step"] for event in run_log.read(log) if event["event"] == "step"]
    assert steps == [*range(1, 13)]
