"""`train --log`, `train --tensorboard` and `plot` end to end."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from numlstm.backends import registry
from numlstm.errors import DivergedError, LogError, WeightsError
from numlstm.model import Model
from numlstm.monitoring import run_log
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.dataset.corpus import load_corpus
from numlstm.text.dataset.streams import split
from numlstm.training.loop import Step, train
from numlstm.training.recording import Recorder
from numlstm.training.state import TrainingState
from tests.cli.conftest import Command


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_a_run_is_logged_from_start_to_end_and_drawn(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `plot`)")
    done = numlstm("train", text_file, *tiny, "--steps", "25", "--log", "logs/run.jsonl")
    assert done.returncode == 0, done.stderr
    events = run_log.read(tmp_path / "logs" / "run.jsonl")
    assert kinds(events)[0] == "start"
    assert kinds(events)[-1] == "end"
    assert [e["step"] for e in events if e["event"] == "step"] == list(range(1, 26))
    epochs = [e for e in events if e["event"] == "epoch"]
    assert [e["step"] for e in epochs] == [23, 25]
    assert f"validation {epochs[0]['val_loss']:.4f} nats" in done.stderr
    samples = [e for e in events if e["event"] == "sample"]
    assert [e["temperature"] for e in samples] == [0.0, 0.25, 0.5, 0.75] * 2
    assert all(len(e["text"]) == 20 for e in samples)
    assert [e["layer"] for e in events if e["event"] == "gates"] == [0, 1] * 2
    assert events[-1]["reason"] == "done"
    drawn = numlstm("plot", "logs/run.jsonl")
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout == ""
    assert (tmp_path / "logs" / "run.png").read_bytes().startswith(b"\x89PNG")
    both = numlstm("plot", "logs/run.jsonl", "logs/run.jsonl", "--x", "seconds", "-o", "both.svg")
    assert both.returncode == 0, both.stderr
    assert "seconds of training" in (tmp_path / "both.svg").read_text("utf-8")


def test_a_log_changes_nothing_else(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    from numlstm.network import weights_file

    for name, more in (("a", ()), ("b", ("--log", "b.jsonl"))):
        assert numlstm("train", text_file, *tiny, "--steps", "5", "-o", f"{name}.npz", *more).returncode == 0
    a, b = (weights_file.load(tmp_path / f"{name}.npz") for name in "ab")
    assert a.params.tobytes() == b.params.tobytes()


def test_a_resumed_run_goes_on_in_the_same_log(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    log = tmp_path / "run.jsonl"
    assert numlstm("train", text_file, *tiny, "--steps", "4", "--log", log).returncode == 0
    with log.open("a") as file:  # as left by a killed run
        file.write('{"event": "step", "time": 1, "step": 5, "loss": 1}\n{"event": "st')
    resumed = numlstm("train", "--resume", "weights.npz", "--steps", "7", "--log", log, "--device", "reference")
    assert resumed.returncode == 0, resumed.stderr
    lines = log.read_text("utf-8").splitlines()
    assert len([line for line in lines if '"step": 5,' in line]) == 2, "resuming must not remove lines from the log"
    events = run_log.read(log)
    assert [e["step"] for e in events if e["event"] == "step"] == list(range(1, 8))
    assert [e["step"] for e in events if e["event"] == "start"] == [0, 4]


def test_tensorboard_files_are_written(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed (the extra `tensorboard`)")
    done = numlstm("train", text_file, *tiny, "--steps", "3", "--tensorboard", "board")
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "board").iterdir()
    for tag in (b"loss/training", b"loss/validation", b"sample/temperature_0.75", b"gates/layer_1_output"):
        assert tag in file.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, the device that is always full")
def test_a_full_disk_is_told_once_and_training_goes_on(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "run.jsonl").symlink_to("/dev/full")
    done = numlstm("train", text_file, *tiny, "--steps", "4", "--log", "run.jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No space left on device") == 1
    assert (tmp_path / "weights.npz").exists()


@pytest.mark.parametrize("option", ["--log", "--tensorboard"])
def test_what_cannot_be_written_is_told_before_training(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path, option: str
) -> None:
    done = numlstm("train", text_file, *tiny, "--steps", "1", option, text_file if option == "--log" else "text.txt/x")
    assert done.returncode == 1
    assert done.stderr.startswith("numlstm: ")
    assert done.stderr.count("\n") == 1
    assert option in done.stderr
    assert not (tmp_path / "weights.npz").exists()


def test_what_is_no_log_is_told_in_one_line(numlstm: Command, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `plot`)")
    for name in ("", ".", "/", "absent"):
        done = numlstm("plot", name)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_missing_extra_is_one_line_before_training(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    Path("run.jsonl").write_text(json.dumps({"event": "step", "step": 1, "loss": 2.0}) + "\n")
    for arguments, brings in (
        (["train", str(text_file), *tiny, "--tensorboard", "board"], "numlstm[tensorboard]"),
        (["plot", "run.jsonl"], "numlstm[plot]"),
    ):
        done = numlstm(*arguments)
        assert done.returncode == 1
        assert f"pip install '{brings}'" in done.stderr
        assert done.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["run.jsonl", "text.txt"]


class Kept:
    """A sink that stores events, or raises `error` on each write."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.error, self.closed = error, False

    def write(self, event: dict[str, Any]) -> None:
        if self.error:
            raise self.error
        self.events.append(event)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("error", "last", "reason"),
    [
        (None, 3, "done"),
        (None, 2, "stopped"),
        (KeyboardInterrupt(), 2, "stopped"),
        (DivergedError("nan"), 2, "diverged"),
        (WeightsError("no room"), 3, "failed"),
    ],
    ids=str,
)
def test_the_log_says_why_a_run_ended(text_file: Path, error: BaseException | None, last: int, reason: str) -> None:
    corpus = load_corpus([str(text_file)])
    config = NetworkSettings(len(corpus.vocab), (4,))
    model = Model(config, parameters.initialise(config, 0), registry.load("reference"), vocab=corpus.vocab)
    run = TrainingState.start(model, TrainingSettings(steps=3, batch_size=2, seq_len=8))
    kept, failing = Kept(), Kept(LogError("no room"))
    said: list[str] = []
    recorder = Recorder([failing, kept], run, corpus, "w.npz", said.append)
    with pytest.raises(type(error)) if error else nullcontext(), recorder:
        for each in recorder.follow(train(run, *split(corpus.ids, 0.1))):
            if reason != "done" and each.step == last and isinstance(each, Step):
                break
        if error is not None:
            raise error
    told = kinds(kept.events)
    assert (told[0], told.count("step"), told[-1]) == ("start", last, "end")
    assert kept.events[-1]["reason"] == reason
    assert kept.closed
    assert failing.closed
    assert said == ["no room; training continues"]
