"""Training from Python: the same runs as on the command line, and errors in terms of the arguments."""

from __future__ import annotations

import _thread
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numlstm
from numlstm.network import weights_file
from numlstm.settings.commands import train_settings

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


def test_train_returns_the_best_model(text_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "w.npz"
    model = numlstm.train(text_file, epochs=2, output=output, **TINY)
    np.testing.assert_array_equal(model.backend.to_numpy(model.flat), weights_file.load(output).params)


@pytest.mark.parametrize("several", [lambda path: str(path), lambda path: [path, path], lambda path: path.parent])
def test_a_text_may_be_named_in_any_way(several: Any, text_file: Path) -> None:
    run = numlstm.new_run(several(text_file), steps=1, **TINY)
    assert len(run.text.ids) % len(TEXT) == 0


def test_a_run_is_that_of_the_command_line(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, and each can resume the other's file."""
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
    assert weights_file.load(tmp_path / "half.npz").state.step == 20, "saved to the file it was loaded from"  # type: ignore[union-attr]


def test_what_changes_as_a_run_goes_on_is_noted(tmp_path: Path) -> None:
    trained(numlstm.new_run(text=TEXT, steps=5, **TINY)).save(tmp_path / "w.npz")
    run = numlstm.resume_run(tmp_path / "w.npz", text=TEXT, lr=0.02, steps=8, device="reference")
    assert any(note.startswith("lr was 0.01 and is now 0.02") for note in run.notes)
    assert (run.settings.lr, run.settings.steps) == (0.02, 8)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lr": 0}, "`lr` is 0; expected a number above 0"),
        ({"layer": 5}, "there is no setting 'layer'; did you mean layers"),
        ({"nonsense": 5}, "there is no setting 'nonsense'; expected level, "),
        ({"layers": "5,x"}, "expected one size per layer"),
        ({"epochs": 1, "steps": 2}, "give either `epochs` or `steps`, not both"),
        ({"decay_rate": 0.5}, "`decay_rate` does nothing with `schedule` cosine"),
        ({"resume": "x.npz"}, "call resume_run"),
        ({"max_time": "soon"}, "`max_time` is 'soon'; expected a time"),
        ({"save_every": "soon"}, "`save_every` is 'soon'; expected a time"),
        ({"patience": 2, "val_split": 0.0}, "`patience` needs a validation loss"),
        ({"vocab_size": 9}, "`vocab_size` is 9 but `level` is char"),
        ({"encoding": "utf-8", "level": "byte"}, "`encoding` is utf-8 with `level` byte"),
        ({"text": None}, "no text was given"),
        ({"corpus": "tales"}, "give either `corpus` or `text`, not both"),
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
    with pytest.raises(numlstm.CorpusError, match="pass it as `text`"):
        numlstm.resume_run(tmp_path / "w.npz", device="reference")
    with pytest.raises(numlstm.CorpusError, match="the text has changed"):
        numlstm.resume_run(tmp_path / "w.npz", text=TEXT + "the", device="reference")
    with pytest.raises(numlstm.ConfigError, match="`layers` cannot change in a resumed run"):
        numlstm.resume_run(tmp_path / "w.npz", text=TEXT, layers=7, device="reference")


def test_the_public_names() -> None:
    assert {"train", "new_run", "resume_run", "load", "Model", "Run"} <= {*dir(numlstm)}
    for name in dir(numlstm):
        assert getattr(numlstm, name) is not None
    assert "_HOMES" not in dir(numlstm)
    with pytest.raises(AttributeError):
        _ = numlstm.nothing


def test_every_setting_can_be_given() -> None:
    """None means not given."""
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
