"""`eval` with several files and with cold windows."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from numlstm.cli.eval import _print, carried
from numlstm.model import Model, load
from numlstm.network import parameters, weights_file
from numlstm.network.evaluate import evaluate, evaluate_windows
from numlstm.settings.network import NetworkSettings
from numlstm.text.dataset.corpus import load_corpus
from tests.cli.conftest import Command

TEXT = "the shore is the north\n" * 30


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8", newline="")
    vocab = load_corpus([str(tmp_path / "t.txt")]).vocab
    config = NetworkSettings(len(vocab), (10, 6))
    path = tmp_path / "w.npz"
    weights_file.save(path, weights_file.WeightsFile(config, vocab, parameters.initialise(config, 1), {}, None))
    return path


def corpus(**values: Any) -> Any:
    return SimpleNamespace(sources=("a", "b"), dropped=0, **values)


def test_each_file_has_its_own_mean_and_the_total_is_the_whole() -> None:
    model = Model.create(5, (6,), seed=1, device="reference")
    ids = np.random.default_rng(0).integers(0, 5, 500)
    parts = [("/x/a.txt", 0, 200), ("/x/empty.txt", 200, 200), ("/x/b.txt", 200, 500)]
    found = carried(model, corpus(ids=ids, parts=parts), 1)
    assert found["nats_per_token"] == pytest.approx(evaluate(model, ids))
    a, empty, b = found["files"]
    assert (a["tokens"], empty["tokens"], b["tokens"], found["tokens"]) == (199, 0, 300, 499)
    assert empty["nats_per_token"] is None
    assert a["nats_per_token"] == pytest.approx(evaluate(model, ids[:200]))
    total = a["nats_per_token"] * 199 + b["nats_per_token"] * 300
    assert found["nats_per_token"] == pytest.approx(total / 499)
    assert b["perplexity"] == pytest.approx(math.exp(b["nats_per_token"]))


def test_what_is_printed_of_files_and_unknown_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    model = Model.create(5, (6,), seed=1, device="reference")
    parts = [("/x/a[b].txt", 0, 200), ("/x/b.txt", 200, 500)]
    found = carried(model, corpus(ids=np.zeros(500, np.int32), parts=parts), 1)
    _print({**found, "dropped": 0, "unknown": 1234}, "token")
    shown = capsys.readouterr().out
    assert "/x/a[b].txt" in shown
    assert f"{found['files'][1]['nats_per_token']:.4f}" in shown
    assert "499 tokens predicted, the state carried from file to file" in shown
    assert "1,234 tokens are not in the vocabulary" in shown
    found["files"].pop()
    _print({**found, "dropped": 2, "unknown": 0}, "byte")
    shown = capsys.readouterr().out
    assert "a[b]" not in shown, "a single file needs no line of its own"
    assert "nats per byte" in shown
    assert "2 unknown ones left out" in shown
    assert "vocabulary" not in shown


def test_cold_windows_on_the_command_line(numlstm: Command, model: Path) -> None:
    arguments = ("eval", model, "t.txt", "--device", "reference", "--cold-windows", "40")
    network = load(str(model), device="reference")
    ids = network.vocab.encode(TEXT)
    for more, seed in (((), 0), (("--seed", "3"), 3)):
        found = json.loads(numlstm(*arguments, *more, "--json").stdout)
        expected = evaluate_windows(network, ids, 40, seed=seed)
        assert found["nats_per_token"] == pytest.approx(expected.nats, rel=1e-6)
        assert found["perplexity"] == pytest.approx(math.exp(expected.nats), rel=1e-5)
        assert found["cold_windows"] == {
            "length": 40,
            "windows": expected.windows,
            "seed": seed,
            "standard_error": pytest.approx(expected.standard_error, rel=1e-3),
        }
        assert found["tokens"] == 40 * expected.windows
        assert found["files"] == []
    shown = numlstm(*arguments).stdout
    assert f"{expected.windows} random windows of 40 characters" in shown
    assert "seed 0" in shown


def test_cold_windows_that_do_not_fit_are_one_line(numlstm: Command, model: Path) -> None:
    for more, said in (
        (("--cold-windows", "690"), "more than the window length, 690"),
        (("--cold-windows", "0"), "at least 1"),
        (("--cold-windows", "9", "--streams", "2"), "either --streams or --cold-windows"),
    ):
        done = numlstm("eval", model, "t.txt", "--device", "reference", *more)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that may be any bytes")
def test_a_file_whose_name_is_no_text_is_named(numlstm: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text(TEXT, encoding="utf-8", newline="")
    done = numlstm("eval", model, "t.txt", "*.txt", "--device", "reference")
    assert done.returncode == 0, done.stderr
    assert "\ncaf\\udce9.txt " in done.stdout


def test_the_whole_name_of_a_file_is_told_and_in_one_line(numlstm: Command, model: Path, tmp_path: Path) -> None:
    name = f"{'long ' * 20}{'x' * 90}.txt"
    (tmp_path / name).write_text(TEXT, encoding="utf-8", newline="")
    done = numlstm("eval", model, "t.txt", name, "--device", "reference", COLUMNS="80")
    assert f"\n{name} " in done.stdout


def test_a_number_of_streams_out_of_range(numlstm: Command, model: Path) -> None:
    done = numlstm("eval", model, "t.txt", "--streams", "0", "--device", "reference")
    assert done.returncode == 1
    assert done.stderr == "numlstm: --streams is 0; expected a whole number from 1\n"
