"""`benchmarks.words` trains on one text, evaluates on another, and compares with the n-gram model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import words

RunScript = Callable[..., str]


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    """Return a training text and a test text."""
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("the cat sat .\nthe dog sat .\na dog ran .\n" * 200, "utf-8")
    paths[1].write_text("the cat ran .\na bird sat .\n" * 3, "utf-8")
    return paths


def results(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


@pytest.mark.usefixtures("no_processes")
def test_another_recipe(run_script: RunScript, tmp_path: Path, texts: list[Path]) -> None:
    recipe = ["--layers", "8", "--batch-size", "4", "--seq-len", "8", "--steps", "3"]
    printed = run_script(words, "-o", tmp_path / "r.json", *texts, "--", *recipe)
    found = results(tmp_path / "r.json")
    assert found["settings"]["extra"] == recipe
    assert found["files"] == {"train": "a.txt", "test": "b.txt"}
    assert found["numlstm"]["model"]["layers"] == [8]
    (ngrams,) = found["ngram"]["results"]
    assert found["ngram"]["tokens"] == found["numlstm"]["eval"]["tokens"], "both must predict the same tokens"
    assert ngrams["perplexity"] > 1
    assert f"numlstm: perplexity {found['numlstm']['eval']['perplexity']:.2f}" in printed


@pytest.mark.usefixtures("no_processes")
def test_training_that_fails_is_no_result(texts: list[Path]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        words.measure(*texts, ["--layers", "none"])


@pytest.mark.slow
def test_a_quick_run_takes_the_recipe_for_twenty_steps(
    run_script: RunScript, tmp_path: Path, texts: list[Path]
) -> None:
    run_script(words, "--quick", "-o", tmp_path / "r.json", *texts)
    found = results(tmp_path / "r.json")
    assert found["settings"]["extra"][-2:] == ["--steps", "20"]
    assert "--epochs" not in found["settings"]["extra"]
    assert found["numlstm"]["model"]["layers"] == [200]
