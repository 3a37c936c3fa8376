"""`benchmarks.quality`: when a target was reached, the time limit, and the results of a run."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import measure, pictures, quality
from benchmarks.quality import _without_length, seconds_to
from tests.benchmarks import commands_here

RunScript = Callable[..., str]
POINTS = [
    {"seconds": 1.0, "val_loss": None},
    {"seconds": 2.0, "val_loss": 1.9},
    {"seconds": 3.0, "val_loss": 1.8},
    {"seconds": 4.0, "val_loss": 1.85},
]
TINY = ("--", "--layers", "8", "--batch-size", "2", "--seq-len", "8", "--steps", "4", "--sample-length", "0")


def test_a_target_is_reached_when_the_loss_is_first_at_or_below_it():
    assert seconds_to(POINTS, 1.95) == 2.0
    assert seconds_to(POINTS, 1.85) == 3.0
    assert seconds_to(POINTS, 1.8) == 3.0
    assert seconds_to(POINTS, 1.7) is None


def test_the_length_of_the_training_is_taken_out():
    assert _without_length(["--epochs", "1", "--lr", "0.02", "--steps=5"]) == ["--lr", "0.02"]
    assert _without_length(["--layers", "256,256"]) == ["--layers", "256,256"]


@pytest.fixture
def training_here(monkeypatch: pytest.MonkeyPatch, no_processes: None) -> None:
    """Train in the test's process, and draw no picture."""
    monkeypatch.setattr(subprocess, "Popen", commands_here.start)
    monkeypatch.setattr(quality, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(pictures, "draw_if_possible", lambda path: None)


@pytest.mark.usefixtures("training_here")
@pytest.mark.parametrize(
    ("options", "kinds"), [(("--warm",), ["warm"]), (("--cold",), ["cold"]), ((), ["cold", "warm"])]
)
def test_runs_with_each_kind_of_cache(
    run_script: RunScript,
    monkeypatch: pytest.MonkeyPatch,
    text_file: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    kinds: list[str],
) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    arguments = ("--corpus", text_file, "--targets", "9,0.1", "--label", "tiny", *options)
    printed = run_script(quality, *arguments, *TINY)
    runs = json.loads((tmp_path / "results" / "quality-tiny.json").read_text("utf-8"))["runs"]
    assert list(runs) == kinds
    for kind, run in runs.items():
        (point,) = run["curve"]
        assert (run["steps"], point["step"]) == (4, 4)
        assert run["seconds_to"] == {"9": point["seconds"], "0.1": None}
        assert run["val_loss"] == pytest.approx(point["val_loss"], abs=0.05)
        assert run["corpus"]["name"] == text_file.stem
        assert f"{kind}: 0.1 nats were not reached" in printed


@pytest.mark.usefixtures("training_here")
def test_a_quick_run_is_fifty_steps_with_the_usual_cache(
    run_script: RunScript, text_file: Path, tmp_path: Path
) -> None:
    run_script(quality, "--quick", "--corpus", text_file, "-o", tmp_path / "r.json", *TINY)
    runs = json.loads((tmp_path / "r.json").read_text("utf-8"))["runs"]
    assert {kind: run["steps"] for kind, run in runs.items()} == {"warm": 50}


class Endless:
    """A process that trains until it is stopped."""

    code: int

    def __init__(self, command: list[str], **options: Any) -> None:
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        assert number == signal.SIGINT
        self.returncode = self.code


@pytest.mark.parametrize(("code", "fails"), [(130, False), (0, False), (-signal.SIGINT, False), (1, True)])
def test_training_is_stopped_when_its_minutes_are_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, fails: bool
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Endless)
    monkeypatch.setattr(quality, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(Endless, "code", code, raising=False)
    with pytest.raises(RuntimeError, match="exit code 1 from train") if fails else contextlib.nullcontext():
        curve, seconds = quality.train(["numlstm", "train"], tmp_path / "none.npz", None, minutes=0.0001)
        assert curve.points == []
        assert 0.006 <= seconds < 60


@pytest.mark.slow
def test_fifty_steps_in_processes(run_script: RunScript, tmp_path: Path) -> None:
    # As short as a quick run, but with a time limit that a busy machine can keep.
    run_script(quality, "--warm", "--minutes", "9", "-o", tmp_path / "r.json", "--", "--steps", "50")
    (run,) = json.loads((tmp_path / "r.json").read_text("utf-8"))["runs"].values()
    assert run["steps"] == 50
    assert run["val_loss"] < 4
