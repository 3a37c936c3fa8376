"""A run on a device that reports several steps at once is logged, saved and stopped like any other."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from numlstm.backends import reference
from numlstm.cli.train.progress import Watch
from numlstm.monitoring import run_log
from numlstm.network import weights_file
from numlstm.storage import npz
from numlstm.training import loop as training
from tests.cli.conftest import Command


@pytest.fixture(autouse=True)
def together(monkeypatch: pytest.MonkeyPatch, text_file: Path) -> None:
    """Make the reference backend queue its work: results arrive after steps 1, 3, 7, 15, ..."""
    monkeypatch.chdir(text_file.parent)
    monkeypatch.setattr(reference, "queued", True)
    monkeypatch.setattr(training, "_READING_SECONDS", 1e6)


def test_a_run_that_is_stopped_has_all_its_steps_in_the_log(
    numlstm: Command, tiny: tuple[str, ...], text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = Watch.step

    def stopping(self: Watch, step: Any) -> None:
        show(self, step)
        if step.step == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Watch, "step", stopping)
    done = numlstm("train", text_file, *tiny, "--steps", "30", "--log", "log.jsonl")
    assert done.returncode == 130
    assert "stopped and saved at step 7;" in done.stderr
    steps = [event["step"] for event in run_log.read("log.jsonl") if event["event"] == "step"]
    assert steps == [1, 2, 3, 4, 5, 6, 7]


def test_it_is_saved_once_when_so_many_steps_were_made(
    numlstm: Command, tiny: tuple[str, ...], text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, write = [], npz.write

    def noted(path: Any, arrays: Any) -> None:
        write(path, arrays)
        state = weights_file.load(path).state
        assert state is not None
        saved.append(state.step)

    monkeypatch.setattr(npz, "write", noted)
    done = numlstm("train", text_file, *tiny, "--steps", "22", "--save-every", "5steps")
    assert done.returncode == 0, done.stderr
    assert saved == [7, 15, 22, 22], "the second save at step 22 adds the validation result"
