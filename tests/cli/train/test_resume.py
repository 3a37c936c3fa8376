"""Resuming a run: by --resume, by the same command again, with changed settings, and after a time limit."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.errors import WeightsError
from numlstm.network import weights_file
from numlstm.network.parameters import initialise
from numlstm.network.weights_file import TrainState
from numlstm.storage import npz
from numlstm.storage.temporary import temporary_beside
from numlstm.text.dataset.corpus import load_corpus
from numlstm.training import loop as training
from numlstm.training.setup import new_run
from tests.cli.conftest import Command

AGAIN = ("--device", "reference", "--sample-length", "0")


def state_of(path: Path) -> TrainState:
    state = weights_file.load(path).state
    assert state is not None
    return state


def test_the_same_command_again_goes_on_and_then_has_nothing_to_do(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    command = ("train", text_file, *tiny, "-o", "runs/{job}.npz")
    path = tmp_path / "runs" / "text-12-9.npz"
    assert numlstm(*command, "--epochs", "1").returncode == 0
    assert state_of(path).step == 23
    before = path.read_bytes()

    again = numlstm(*command, "--epochs", "1")
    assert again.returncode == 0, again.stderr
    assert "runs/text-12-9.npz has finished its 1 epoch (23 steps) and was not changed" in again.stderr
    assert again.stderr.endswith("; to train it further: numlstm train --resume runs/text-12-9.npz --epochs 2\n")
    assert "epoch 1/1" not in again.stderr
    assert path.read_bytes() == before

    more = numlstm(*command, "--epochs", "2")
    assert more.returncode == 0, more.stderr
    assert "from step 23" in more.stderr
    assert "extended from 23 to 46 steps; the learning rate follows, so the result will differ from" in more.stderr
    assert state_of(path).step == 46

    other = numlstm(*command, "--steps", "2", "--seed", "3")
    assert other.returncode == 0, other.stderr
    assert state_of(tmp_path / "runs" / "text-12-9-seed3.npz").config.seed == 3
    assert state_of(path).step == 46
    anew = numlstm(*command, "--steps", "2", "--overwrite")
    assert anew.returncode == 0, anew.stderr
    assert state_of(path).step == 2


def test_a_finished_run_that_was_to_go_elsewhere_stays_where_it_is(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2").returncode == 0
    done = numlstm("train", "--resume", "weights.npz", "-o", "other.npz", *AGAIN)
    assert done.returncode == 0, done.stderr
    assert "weights.npz has finished its 2 steps and was not changed" in done.stderr
    assert "other.npz" not in done.stderr
    assert not (tmp_path / "other.npz").exists()


def test_what_another_length_of_windows_does(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    windows = ("--batching", "windows", "--steps-per-epoch", "9")
    assert numlstm("train", text_file, *tiny, *windows, "--steps", "2").returncode == 0
    done = numlstm("train", "--resume", "weights.npz", "--seq-len", "20", "--steps", "4", *AGAIN)
    assert "seq-len was 16 and is now 20: the epoch continues at the same share of the text" in done.stderr


def test_too_many_texts_to_be_named_are_told_before_training(text_file: Path) -> None:
    corpus = load_corpus([str(text_file)])
    many = dataclasses.replace(corpus, sources=("/some/folder/with/a/file.txt" * 9,) * 40_000)
    with pytest.raises(WeightsError, match="join many texts into one file"):
        new_run(many, registry.load("reference"), {"layers": (4,)})


def test_a_job_is_for_new_runs(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2").returncode == 0
    refused = numlstm("train", "--resume", "weights.npz", "-o", "{job}.npz")
    assert refused.returncode == 1
    assert "expected a name without {job}" in refused.stderr


def test_settings_that_change_are_told(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "20").returncode == 0
    same = numlstm("train", "--resume", "weights.npz", "--lr", "0.01", "--layers", "12,9", "--steps", "25", *AGAIN)
    assert same.returncode == 0, same.stderr
    assert "the result will differ from an unchanged run" not in same.stderr

    changed = ("--lr", "0.02", "--seq-len", "20", "--batch-size", "3", "--optimizer", "rmsprop", "--dropout", "0")
    done = numlstm("train", "--resume", "weights.npz", *changed, "--steps", "30", "--patience", "9", *AGAIN)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if " is now " in line]
    assert sorted(told) == [
        "batch-size was 4 and is now 3: the epoch continues at the same share of the text, with a zero "
        "state; the result will differ from an unchanged run",
        "lr was 0.01 and is now 0.02: the result will differ from an unchanged run",
        "optimizer was adam and is now rmsprop: starts afresh; the result will differ from an unchanged run",
        "patience was 0 and is now 9",
        "seq-len was 16 and is now 20: continues with the first unread token; the result will differ from an unchanged "
        "run",
    ]
    state = state_of(tmp_path / "weights.npz")
    assert (state.step, state.config.lr, state.config.seq_len, state.config.batch_size) == (30, 0.02, 20, 3)
    assert (state.config.optimizer, state.config.rho, set(state.slots)) == ("rmsprop", 0.99, {"square"})


def test_another_length_keeps_the_number_of_epochs(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert numlstm("train", text_file, *tiny, "--epochs", "1").returncode == 0
    done = numlstm("train", "--resume", "weights.npz", "--epochs", "3", "--seq-len", "32", *AGAIN)
    assert done.returncode == 0, done.stderr
    assert "epoch 3/3  loss" in done.stderr, "one epoch of 23 steps and two of 12"
    assert state_of(tmp_path / "weights.npz").step == 47


def test_an_option_that_the_resumed_run_does_not_read_is_an_error(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...]
) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "2", "--optimizer", "sgd").returncode == 0
    refused = numlstm("train", "--resume", "weights.npz", "--steps", "4", "--beta1", "0.8", *AGAIN)
    assert refused.returncode == 1
    assert "--beta1 does nothing with --optimizer sgd; expected --optimizer adam or adamw" in refused.stderr


def test_time_is_up(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    done = numlstm("train", text_file, *tiny, "--steps", "1000000", "--max-time", "0.5s", "--sample-length", "0")
    assert done.returncode == 0, done.stderr
    state = state_of(tmp_path / "weights.npz")
    step, told = state.step, len(state.record["history"])
    assert 0 < step < 1_000_000
    expected = (
        f"time limit reached: stopped and saved at step {step:,}; resume with: numlstm train --resume weights.npz"
    )
    assert expected in done.stderr
    more = numlstm("train", "--resume", "weights.npz", "--max-time", "0.1s", *AGAIN)
    assert more.returncode == 0
    state = state_of(tmp_path / "weights.npz")
    assert (state.step, len(state.record["history"])) > (step, told), "each command must make progress"


def test_time_is_up_while_validating(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*args: object, **options: object) -> float:
        for _ in range(6000):
            time.sleep(0.01)
        return 0.0

    text_file.write_text(text_file.read_text()[:600])  # 9 steps per epoch, done before the time limit
    monkeypatch.setattr(training, "evaluate", endless)
    done = numlstm("train", text_file, *tiny, "--epochs", "2", "--max-time", "2s")
    assert done.returncode == 0, done.stderr
    assert "time limit reached: stopped and saved at step 9;" in done.stderr


def test_patience_stops_early(numlstm: Command, text_file: Path, tmp_path: Path) -> None:
    text_file.write_text(text_file.read_text()[:700])
    small = ("--layers", "30", "--batch-size", "2", "--seq-len", "16", *AGAIN)
    command = ("train", text_file, *small, "--epochs", "400", "--lr", "0.05", "--schedule", "constant")
    done = numlstm(*command, "--patience", "2", "-o", "{job}.npz")
    assert done.returncode == 0, done.stderr
    assert "stopped early, after 2 epochs without a lower validation loss" in done.stderr
    state = state_of(tmp_path / "text-1x30.npz")
    assert state.step < state.config.steps
    again = numlstm(*command, "--patience", "2", "-o", "{job}.npz")
    assert again.returncode == 0
    assert "had stopped early and was not changed; to train it further: numlstm train --resume" in again.stderr
    more = numlstm(*command, "--patience", "3", "-o", "{job}.npz")
    assert more.returncode == 0
    assert state_of(tmp_path / "text-1x30.npz").step > state.step


def test_snapshots_of_chosen_epochs(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    done = numlstm("train", text_file, *tiny, "--epochs", "1", "--snapshot-epochs", "0,2,1")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        "weights-epoch0.npz",
        "weights-epoch1.npz",
        "weights.npz",
    ]
    more = numlstm("train", "--resume", "weights.npz", "--epochs", "3", *AGAIN)
    assert more.returncode == 0, more.stderr
    files = [weights_file.load(tmp_path / f"weights-epoch{epoch}.npz") for epoch in (0, 1, 2)]
    assert [file.summary["steps"] for file in files] == [0, 23, 46]
    assert all(file.state is None for file in files)
    np.testing.assert_array_equal(files[0].params, initialise(files[0].config, 0))
    assert numlstm("gen", "weights-epoch0.npz", "--length", "5").returncode == 0
    assert not (tmp_path / "weights-epoch3.npz").exists()

    (tmp_path / "weights.npz").unlink()
    refused = numlstm("train", text_file, *tiny, "--steps", "2", "--snapshot-epochs", "1")
    assert refused.returncode == 1
    assert "weights-epoch1.npz exists" in refused.stderr


@pytest.mark.parametrize(("every", "saves"), [("1steps", 12 + 2), ("5steps", 2 + 2), ("1h", 0 + 2)])
def test_saves_come_as_often_as_asked(
    every: str,
    saves: int,
    numlstm: Command,
    text_file: Path,
    tiny: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Saves happen at the given interval, and at the end of the epoch and of the run."""
    written, write = [], npz.write

    def noted(path: Any, arrays: Any) -> None:
        written.append(path)
        write(path, arrays)

    monkeypatch.setattr(npz, "write", noted)
    text_file.write_text(text_file.read_text()[:600])  # 9 steps per epoch
    done = numlstm("train", text_file, *tiny, "--steps", "12", "--save-every", every)
    assert done.returncode == 0, done.stderr
    assert len(written) == saves


@pytest.mark.skipif(os.name != "posix", reason="leftover files are removed only on POSIX systems")
def test_what_a_killed_run_left_is_removed(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    name = temporary_beside(tmp_path / "weights.npz").name
    left = tmp_path / name.replace(f"-{os.getpid()}-", f"-{ended.stdout.strip()}-")
    for path in (left, tmp_path / name):
        path.write_bytes(b"half a file")
    assert numlstm("train", text_file, *tiny, "--steps", "1").returncode == 0
    assert not left.exists()
    assert (tmp_path / name).exists(), "this process may still be writing it"


def test_fewer_steps_than_were_made_end_the_run(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert numlstm("train", text_file, *tiny, "--steps", "500", "--max-time", "0.1s").returncode == 0
    stopped = state_of(tmp_path / "weights.npz")
    step = stopped.step
    between_epochs = (
        bool(stopped.record["history"]) and stopped.record["history"][-1][0] == step
    )  # then nothing remains to be done
    done = numlstm("train", "--resume", "weights.npz", "--steps", "1", *AGAIN)
    assert done.returncode == 0, done.stderr
    assert "write with: numlstm gen" in done.stderr or "has finished its" in done.stderr
    assert "time limit" not in done.stderr
    state = state_of(tmp_path / "weights.npz")
    assert (state.step, state.config.steps) == (step, 500 if between_epochs else step)


def test_no_steps_write_the_untrained_network(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    done = numlstm("train", text_file, *tiny, "--steps", "0")
    assert done.returncode == 0, done.stderr
    file = weights_file.load(tmp_path / "weights.npz")
    np.testing.assert_array_equal(file.params, initialise(file.config, 0))


def test_without_a_number_of_epochs_a_run_goes_through_so_much_text(
    numlstm: Command, text_file: Path, tmp_path: Path
) -> None:
    """The default is 4 million characters, in 2 to 40 epochs of any length."""
    small = ("--layers", "2", "--batch-size", "20", "--seq-len", "50", *AGAIN, "--max-time", "0.1s")
    for options, steps in (
        (("--batching", "streams"), 40 * 2),
        (("--batching", "windows", "--window-step", "1", "--steps-per-epoch", "500"), 8 * 500),
    ):
        assert numlstm("train", text_file, *small, *options, "--overwrite").returncode == 0
        assert state_of(tmp_path / "weights.npz").config.steps == steps
