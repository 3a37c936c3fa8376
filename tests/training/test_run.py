"""Training as a library: runs are made, left, saved and resumed, and are those of the command line to the bit."""

from __future__ import annotations

import _thread
import io
import json
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numlstm
from numlstm.monitoring import run_log
from numlstm.network import weights_file
from numlstm.settings.commands import train_settings
from numlstm.training import progress
from numlstm.training.samples import TEMPERATURES, Samples
from numlstm.training.stopping import Stop

TEXT = "the cat and the dog, the bird and the fish.\n" * 40
TINY: dict[str, Any] = {"layers": (5, 4), "batch_size": 4, "seq_len": 8, "device": "reference"}


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def trained(run: numlstm.Run) -> numlstm.Run:
    for _ in run:
        pass
    return run


def same(a: weights_file.WeightsFile, b: weights_file.WeightsFile) -> bool:
    assert a.state is not None
    assert b.state is not None
    np.testing.assert_array_equal(a.params, b.params)
    np.testing.assert_array_equal(a.state.params, b.state.params)
    return (a.config, a.state.config, a.state.step) == (b.config, b.state.config, b.state.step)


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


def test_train_returns_the_best_model(text_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "w.npz"
    model = numlstm.train(text_file, epochs=2, output=output, **TINY)
    np.testing.assert_array_equal(model.backend.to_numpy(model.flat), weights_file.load(output).params)


@pytest.mark.parametrize("several", [lambda path: str(path), lambda path: [path, path], lambda path: path.parent])
def test_a_text_may_be_named_in_any_way(several: Any, text_file: Path) -> None:
    run = numlstm.new_run(several(text_file), steps=1, **TINY)
    assert len(run.text.ids) % len(TEXT) == 0


def test_a_run_is_that_of_the_command_line(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, and either goes on with the other's file."""
    options = [
        "--layers",
        "5,4",
        "--batch-size",
        "4",
        "--seq-len",
        "8",
        "--device",
        "reference",
        "--sample-length",
        "0",
    ]

    def command(*more: Any) -> None:
        from numlstm.cli import app

        app([*map(str, more), *options], standalone_mode=False)

    monkeypatch.setattr(sys, "argv", ["numlstm"])
    command("train", text_file, "--steps", 20, "-o", tmp_path / "whole.npz")
    trained(numlstm.new_run(text_file, steps=20, **TINY)).save(tmp_path / "library.npz")
    assert same(weights_file.load(tmp_path / "whole.npz"), weights_file.load(tmp_path / "library.npz"))

    trained(numlstm.new_run(text_file, steps=20, output=tmp_path / "first.npz", max_time="1000h", **TINY))
    half = numlstm.new_run(text_file, steps=20, output=tmp_path / "half.npz", **TINY)
    for event in half:
        if event.step == 9:
            break
    command("train", "--resume", tmp_path / "half.npz")
    assert same(weights_file.load(tmp_path / "half.npz"), weights_file.load(tmp_path / "whole.npz"))

    command("train", text_file, "--steps", 20, "--max-time", "0.000001s", "-o", tmp_path / "begun.npz")
    assert weights_file.load(tmp_path / "begun.npz").state.step < 20  # type: ignore[union-attr]
    trained(numlstm.resume_run(tmp_path / "begun.npz", device="reference"))
    assert same(weights_file.load(tmp_path / "begun.npz"), weights_file.load(tmp_path / "whole.npz"))


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
    loop.close()  # type: ignore[attr-defined]  # as leaving a loop does
    assert weights_file.load(tmp_path / "w.npz").state.step == 5  # type: ignore[union-attr]


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = trained(numlstm.new_run(text=TEXT, steps=20, dropout=0.2, **TINY))
    half = numlstm.new_run(text=TEXT, steps=20, dropout=0.2, **TINY)
    for event in half:
        if event.step == 11:
            break
    half.save(tmp_path / "half.npz")
    again = numlstm.resume_run(tmp_path / "half.npz", text=TEXT, device="reference")
    assert (again.step, again.notes) == (11, ())
    np.testing.assert_array_equal(trained(again).model.flat, whole.model.flat)
    assert weights_file.load(tmp_path / "half.npz").state.step == 20, "saved where it came from"  # type: ignore[union-attr]


def test_what_changes_as_a_run_goes_on_is_noted(tmp_path: Path) -> None:
    trained(numlstm.new_run(text=TEXT, steps=5, **TINY)).save(tmp_path / "w.npz")
    run = numlstm.resume_run(tmp_path / "w.npz", text=TEXT, lr=0.02, steps=8, device="reference")
    assert any(note.startswith("lr was 0.01 and is 0.02") for note in run.notes)
    assert (run.settings.lr, run.settings.steps) == (0.02, 8)


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lr": 0}, "`lr` is 0; expected a number above 0"),
        ({"layer": 5}, "there is no setting 'layer'; expected layers"),
        ({"nonsense": 5}, "there is no setting 'nonsense'; expected level, "),
        ({"layers": "5,x"}, "expected one size per layer"),
        ({"epochs": 1, "steps": 2}, "both `epochs` and `steps` were given"),
        ({"decay_rate": 0.5}, "`decay_rate` does nothing with `schedule` cosine"),
        ({"resume": "x.npz"}, "expected resume_run"),
        ({"max_time": "soon"}, "`max_time` is 'soon'; expected a time"),
        ({"save_every": "soon"}, "`save_every` is 'soon'; expected a time"),
        ({"patience": 2, "val_split": 0.0}, "`patience` goes by the validation loss"),
        ({"vocab_size": 9}, "`vocab_size` is 9 but the level is char"),
        ({"encoding": "utf-8", "level": "byte"}, "`encoding` is utf-8 with `level` byte"),
        ({"text": None}, "no text was given"),
        ({"corpus": "tales"}, "both `corpus` and `text` were given"),
    ],
)
def test_what_is_wrong_is_told_in_the_caller_s_terms(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(numlstm.ConfigError) as caught:
        numlstm.new_run(**{"text": TEXT, "device": "reference", **settings})
    assert said in str(caught.value)
    assert "--" not in str(caught.value)


def test_other_errors_have_their_types(tmp_path: Path) -> None:
    (tmp_path / "there.npz").touch()
    with pytest.raises(numlstm.CorpusError, match="cannot be encoded"):
        numlstm.new_run(text="\ud800", **TINY)
    with pytest.raises(numlstm.CorpusError):
        numlstm.new_run(tmp_path / "no.txt", **TINY)
    with pytest.raises(numlstm.CorpusError, match="`prompt` has characters that the text lacks: 'ж'"):
        numlstm.new_run(text=TEXT, prompt="the ж", **TINY)
    with pytest.raises(numlstm.BackendError, match="no device is called 'abacus'"):
        numlstm.new_run(text=TEXT, device="abacus")
    with pytest.raises(numlstm.StorageError, match="exists and may hold hours of work"):
        numlstm.new_run(text=TEXT, output=tmp_path / "there.npz", **TINY)
    trained(numlstm.new_run(text=TEXT, steps=1, **TINY)).save(tmp_path / "w.npz")
    with pytest.raises(numlstm.CorpusError, match="give it as `text`"):
        numlstm.resume_run(tmp_path / "w.npz", device="reference")
    with pytest.raises(numlstm.CorpusError, match="the text has changed"):
        numlstm.resume_run(tmp_path / "w.npz", text=TEXT + "the", device="reference")
    with pytest.raises(numlstm.ConfigError, match="`layers` cannot change in a resumed run"):
        numlstm.resume_run(tmp_path / "w.npz", text=TEXT, layers=7, device="reference")


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


def test_progress_is_a_line_that_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    numlstm.train(text=TEXT, epochs=2, progress=True, **TINY)
    assert "epoch 2  loss " in shown.getvalue()
    assert "best validation loss" in shown.getvalue()
    assert shown.getvalue().endswith("\n")
    shown.truncate(0)
    numlstm.train(text=TEXT, epochs=1, **TINY)  # where there is no terminal
    numlstm.train(text=TEXT, epochs=1, progress=False, **TINY)
    assert not shown.getvalue().strip("\0")


def test_progress_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(progress, "_notebook", lambda: written.append)
    numlstm.train(text=TEXT, epochs=1, **TINY)
    assert any("epoch 1" in line for line in written)


def test_the_public_names() -> None:
    assert {"train", "new_run", "resume_run", "load", "Model", "Run"} <= {*dir(numlstm)}
    for name in dir(numlstm):
        assert getattr(numlstm, name) is not None
    assert "_HOMES" not in dir(numlstm)
    with pytest.raises(AttributeError):
        _ = numlstm.nothing


def test_every_setting_can_be_given() -> None:
    """None says that it is not."""
    nothing = {each.name: None for each in train_settings() if each.name != "resume"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert numlstm.new_run(text=TEXT, **{**nothing, **TINY}).step == 0


def test_ctrl_c_ends_train_after_a_step_and_the_run_is_kept(tmp_path: Path) -> None:
    threading.Timer(1.0, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        numlstm.train(text=TEXT, steps=1_000_000, output=tmp_path / "w.npz", progress=False, **TINY)
    state = weights_file.load(tmp_path / "w.npz").state
    assert state is not None
    assert 0 < state.step < 1_000_000


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
