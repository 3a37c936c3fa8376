"""Advice during training: each line appears once, as soon as it applies, and only if it applies."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from numlstm.backends import registry
from numlstm.cli.train.advising import Adviser
from numlstm.text.dataset.corpus import load_corpus
from numlstm.training.resume import change_
from numlstm.training.setup import new_run, streams
from tests.cli.conftest import Command

ARGUMENTS = ("--batch-size", "4", "--seq-len", "16", "--device", "reference", "--sample-length", "0")


def test_a_small_text_that_is_learned_by_heart(numlstm: Command, text_file: Path) -> None:
    text_file.write_text(text_file.read_text("utf-8")[:600], encoding="utf-8")
    arguments = ("train", text_file, *ARGUMENTS, "--layers", "24", "--lr", "0.03", "--epochs", "30")
    done = numlstm(*arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    small = [n for n, line in enumerate(lines) if "the text is very small: 540 characters" in line]
    overfitted = [n for n, line in enumerate(lines) if line.startswith("overfitting: the validation loss has risen")]
    epochs = [n for n, line in enumerate(lines) if line.startswith("epoch ")]
    assert len(small) == len(overfitted) == 1
    assert small[0] < epochs[0] < overfitted[0] < epochs[-1], "each must appear as soon as it applies"
    assert "--dropout 0.3" in lines[overfitted[0]]
    again = numlstm("train", "--resume", "weights.npz", "--epochs", "31", "--device", "reference")
    assert "very small" not in again.stderr, "shown only when the run begins"


def test_a_run_that_was_too_short(numlstm: Command, tmp_path: Path, source_text: str) -> None:
    (tmp_path / "text.txt").write_text(source_text[:36_000], encoding="utf-8")
    arguments = ("train", "text.txt", *ARGUMENTS, "--layers", "8", "--batch-size", "32", "--epochs", "2")
    done = numlstm(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("underfitting: ") == 1
    assert "--epochs 4" in done.stderr
    assert "very small" not in done.stderr
    assert "overfitting: the" not in done.stderr


def test_the_epochs_of_a_run_whose_batch_size_changed() -> None:
    text = load_corpus(["-"], stdin=io.BytesIO(b"a text of some length\n" * 40))
    run = new_run(text, registry.load("reference"), {"layers": (4,), "batch_size": 4, "seq_len": 8, "epochs": 4})
    reader = streams(text, run.config)
    run.step, run.record.position = reader.steps_per_epoch, reader.size
    change_(run, reader.ids, {"batch_size": 8})
    assert Adviser(run, text, Console())._setting().epochs == 4
