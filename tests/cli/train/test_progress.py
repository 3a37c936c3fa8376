"""What `train` prints: it fits the terminal, says how the run ended, and no more than was asked for."""

from __future__ import annotations

import dataclasses
import io
import re
import types
from pathlib import Path

import pytest
from rich.console import Console

from numlstm.backends import registry
from numlstm.cli.train.progress import Watch, clock, fitting, show_start
from numlstm.text.dataset.corpus import load_corpus
from numlstm.training.loop import Epoch, Step
from numlstm.training.samples import Samples
from numlstm.training.setup import new_run
from tests.cli.conftest import Command


def test_the_first_facts_are_kept_where_room_is_short() -> None:
    facts = ["25 %", "1:19 left", "loss 1.263"]
    assert fitting(facts, 27) == "25 %  1:19 left  loss 1.263"
    assert fitting(facts, 26) == "25 %  1:19 left"
    assert fitting(facts, 3) == "25 %", "at least one"


def test_times() -> None:
    assert (clock(59.6), clock(200), clock(3803)) == ("1:00", "3:20", "1:03:23")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal(text_file: Path, width: int) -> None:
    text = load_corpus([str(text_file)])
    options = {"layers": (12, 9), "batch_size": 4, "seq_len": 16, "epochs": 40}
    run = new_run(text, registry.load("reference"), options)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, highlight=False, color_system=None)
    run.step, run.record.epoch, run.record.position = 23, 1, 0
    samples = Samples(23, 1, "First", {0.0: "It is the lark, the herald of the morn. " * 3, 0.75: "It was.\n"})
    with Watch(console, run, text) as shown:
        shown.step(Step(23, 1, 2.3456, 2.5, 1.0, 1.0, 0.01, 64, 0.002, last=False))
        shown.bar.refresh()
        if width >= 80:
            shown.epoch(Epoch(23, 1, 2.3456, 2.4567, best=True))
        shown.samples(samples)
    lines = re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", out.getvalue())
    assert max(map(len, lines)) <= width
    bar = next(line for line in lines if " % " in line)
    assert bar.startswith("epoch 1/40 ")
    assert re.search(r" 2 %  \d:\d\d left", bar)
    assert ("loss 2.346" in bar, "step 23/920" in bar) == (True, width == 100)
    epochs = [line for line in lines if line.startswith("epoch 1/40  loss")]
    assert len(epochs) == (width >= 80), "not wrapped"
    assert out.getvalue().count("First") == 1, "the prompt is shown once"
    assert sum(line.startswith("  temperature ") for line in lines) == 2


def test_how_long_a_run_is(text_file: Path) -> None:
    text = load_corpus([str(text_file)])
    found = {}
    for steps in (1, 23, 34, 46):
        options = {"layers": (12,), "batch_size": 4, "seq_len": 16, "steps": steps}
        out = io.StringIO()
        show_start(Console(file=out, width=200), new_run(text, registry.load("reference"), options), text, "w", "cpu")
        (found[steps],) = re.findall(r"^run +(.*)$", out.getvalue(), re.MULTILINE)
    assert found == {
        1: "4 % of an epoch, 1 step",
        23: "1 epoch, 23 steps",
        34: "1.5 epochs, 34 steps",
        46: "2 epochs, 46 steps",
    }


def test_quiet_and_verbose(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    train = ("train", text_file, *tiny, "--steps", "5", "--overwrite")
    plain, quiet, verbose = (numlstm(*train, *more) for more in ((), ("--quiet",), ("--verbose",)))
    assert (plain.returncode, quiet.returncode, verbose.returncode) == (0, 0, 0)
    assert "2 LSTM layers of 12, 9 units" in plain.stderr
    assert "lstm.1" not in plain.stderr
    assert quiet.stderr == ""
    assert "lstm.1" in verbose.stderr
    both = numlstm(*train, "--quiet", "--verbose")
    assert both.returncode == 1
    assert both.stderr == "numlstm: give either --quiet or --verbose, not both\n"
    refused = numlstm("train", text_file, *tiny, "--quiet")
    assert "exists and may hold hours of work" in refused.stderr, "errors are printed always"


def test_a_run_that_learned_nothing_is_not_done(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    done = numlstm("train", text_file, *tiny, "--lr", "1e6", "--steps", "20", "--sample-length", "0")
    assert done.returncode == 0, done.stderr
    assert "the network learned nothing" in done.stderr
    assert "lower --lr, for example to 0.01\n" in done.stderr
    assert "ended without having learned anything in 0:0" in done.stderr
    assert "underfitting" not in done.stderr


def test_sizes_of_layers_apart(numlstm: Command, text_file: Path) -> None:
    done = numlstm("train", text_file, "--layers", "128", "64")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "numlstm: the sizes of several layers are joined by commas: --layers 128,64\n"


def test_how_products_are_computed_is_said(text_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = load_corpus([str(text_file)])
    run = new_run(text, registry.load("reference"), {"layers": (12,), "batch_size": 4, "seq_len": 16, "steps": 1})
    tiles = "AMX"

    def line() -> str:
        out = io.StringIO()
        show_start(Console(file=out, width=300), run, text, "w", "cpu (2 threads, AVX-512); the GPU is not used: x")
        (found,) = re.findall(r"^device +(.*)$", out.getvalue(), re.MULTILINE)
        return str(found)

    backend = types.SimpleNamespace(name="cpu", about=lambda: {"tiles": tiles})
    monkeypatch.setattr(run.model, "backend", backend)
    assert line() == "cpu (2 threads, AVX-512); the GPU is not used: x"
    run.config = dataclasses.replace(run.config, precision="bf16")
    assert line() == "cpu (2 threads, AVX-512), bf16 products in tiles; the GPU is not used: x"
    tiles = "NUMLSTM_AMX is off"
    run.config = dataclasses.replace(run.config, recurrent_dropout=0.1)
    assert line().startswith("cpu (2 threads, AVX-512), bf16 products without tiles: NUMLSTM_AMX is off; layers with ")
    backend.name = "gpu"
    assert line() == "cpu (2 threads, AVX-512), bf16 products; the GPU is not used: x"
