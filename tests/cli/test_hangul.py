"""A Korean text on the command line: trained on, saved, loaded and generated from, exact to the character."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

import numlstm as package
from numlstm.network import weights_file
from tests.cli.conftest import Command

HANGUL = Path(__file__).parents[1] / "hangul.txt"


def words(text: str) -> list[str]:
    """Return the words of two or more syllables."""
    return [word for word in "".join(c if c.isalpha() else " " for c in text).split() if len(word) > 1]


@pytest.mark.slow
def test_korean_is_learnt_and_written(numlstm: Command, tmp_path: Path) -> None:
    shutil.copy(HANGUL, tmp_path / "한글.txt")
    text = HANGUL.read_text("utf-8")
    assert text == unicodedata.normalize("NFC", text)
    options = ("--layers", "64", "--epochs", "24", "--seq-len", "32", "--batch-size", "8", "--lr", "0.02")
    done = numlstm("train", "한글.txt", *options, "--device", "reference", "--sample-length", "0", "-o", "마르타.npz")
    assert done.returncode == 0, done.stderr
    file = weights_file.load(tmp_path / "마르타.npz")
    assert set(file.vocab.decode(range(len(file.vocab)))) == set(text)
    assert file.summary["best_loss"] < 3.9, "guessing among 447 characters would give 6.1"
    gen = ("gen", "마르타.npz", "--prompt", "마르타가 ", "--length", "300", "--temperature", "0.3", "--seed", "1")
    written = numlstm(*gen, "--device", "reference")
    assert written.returncode == 0, written.stderr
    assert written.stdout.startswith("마르타가 ")
    assert len(written.stdout) == len("마르타가 ") + 300
    assert set(written.stdout) <= set(text)
    known = set(words(text))
    new = words(written.stdout)
    assert sum(word in known for word in new) > 0.6 * len(new), written.stdout
    (sample,) = json.loads(numlstm(*gen, "--device", "reference", "--json").stdout)["samples"]
    assert sample["prompt"] + sample["text"] == written.stdout
    model = package.load(tmp_path / "마르타.npz", device="reference")
    assert "마르타가 " + model.generate("마르타가 ", length=300, temperature=0.3, seed=1) == written.stdout


def test_what_is_no_korean_of_the_text_is_told_in_one_line(numlstm: Command, tmp_path: Path) -> None:
    shutil.copy(HANGUL, tmp_path / "h.txt")
    tiny = ("--layers", "4", "--steps", "1", "--seq-len", "8", "--device", "reference", "--sample-length", "0")
    assert numlstm("train", "h.txt", *tiny).returncode == 0
    refused = numlstm("gen", "weights.npz", "--prompt", "컴퓨터 뷁", "--device", "reference")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "뷁" in refused.stderr
    decomposed = unicodedata.normalize("NFD", "마르타")
    assert numlstm("gen", "weights.npz", "--prompt", decomposed, "--device", "reference").returncode == 1
