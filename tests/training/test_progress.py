"""The progress bar of training from Python, on a terminal and in a notebook."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import numlstm
from numlstm.backends import compilation
from numlstm.training import progress
from numlstm.training.progress import Event

TEXT = "the cat and the dog, the bird and the fish.\n" * 40
TINY: dict[str, Any] = {"layers": (5, 4), "batch_size": 4, "seq_len": 8, "device": "reference"}


def test_progress_is_a_line_that_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with_progress_bar = io.StringIO()
    monkeypatch.setattr(sys, "stderr", with_progress_bar)
    numlstm.train(text=TEXT, epochs=2, progress=True, **TINY)
    assert "epoch 2  loss " in with_progress_bar.getvalue()
    assert "best validation loss" in with_progress_bar.getvalue()
    assert with_progress_bar.getvalue().endswith("\n")
    with_progress_bar.truncate(0)
    numlstm.train(text=TEXT, epochs=1, **TINY)  # without a terminal
    numlstm.train(text=TEXT, epochs=1, progress=False, **TINY)
    assert not with_progress_bar.getvalue().strip("\0")


def test_progress_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(progress, "_notebook", lambda: written.append)
    numlstm.train(text=TEXT, epochs=1, **TINY)
    assert any("epoch 1" in line for line in written)


def test_what_is_compiled_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run on a machine waits for compilation before it has a step to show."""
    written: list[str] = []
    monkeypatch.setattr(progress, "_notebook", lambda: written.append)
    run = numlstm.new_run(text=TEXT, epochs=1, **TINY)

    def events() -> Iterator[Event]:
        for listener in compilation.compile_listeners:
            listener.begun("lstm")
        yield from run

    before = list(compilation.compile_listeners)
    assert len(list(progress.with_progress_bar(run, events(), None))) == run.step + 1
    assert written[0] == "compiling kernels for this processor (only the first time): 1 so far"
    assert compilation.compile_listeners == before
