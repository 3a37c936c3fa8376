"""Tokens of every level on the command line: training, resuming, generating, evaluating and `info`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.settings.text import TextSettings
from numlstm.text.dataset.corpus import load_corpus
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.word import WordVocab
from numlstm.training.samples import default_prompt
from tests.cli.conftest import Command

PROSE = 'The cat said, "no." The dog (old) said nothing at all.\n\nThen the cat said: "it\'s late!"\n' * 12
SHORT = ("--layers", "8", "--batch-size", "4", "--seq-len", "8", "--device", "reference", "--sample-length", "5")
REFERENCE = ("--device", "reference")


@pytest.fixture
def prose(tmp_path: Path) -> str:
    (tmp_path / "prose.txt").write_text(PROSE, encoding="utf-8", newline="")
    return "prose.txt"


@pytest.mark.parametrize("options", [("byte",), ("word",), ("word", "--vocab-size", "9"), ("word", "--pretokenised")])
def test_a_run_stops_and_goes_on_to_the_same_bits(
    numlstm: Command, prose: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    command = ("train", prose, *SHORT, "--level", *options)
    assert numlstm(*command, "--steps", "12", "--lr", "0.01", "-o", "whole.npz").returncode == 0
    assert numlstm(*command, "--steps", "12", "--lr", "0.01", "-o", "part.npz").returncode == 0
    found = numlstm("train", "--resume", "part.npz", "--steps", "20", *REFERENCE)
    assert found.returncode == 0, found.stderr
    whole = numlstm("train", "--resume", "whole.npz", prose, "--steps", "20", *REFERENCE)
    assert whole.returncode == 0, whole.stderr
    part, other = weights_file.load(tmp_path / "part.npz"), weights_file.load(tmp_path / "whole.npz")
    assert part.params.tobytes() == other.params.tobytes()
    assert part.vocab == other.vocab
    assert part.vocab.level == options[0]


def test_what_is_said_of_words(numlstm: Command, prose: str) -> None:
    done = numlstm("train", prose, *SHORT, "--level", "word", "--vocab-size", "9", "--steps", "3")
    assert done.returncode == 0, done.stderr
    for said in (
        " tokens, 9 distinct: ",
        "words outside the vocabulary, read as <unk>",
        "8 tokens a step",
        "bits/token",
    ):
        assert said in done.stderr
    assert "character" not in done.stderr
    told = numlstm("info", "weights.npz").stdout
    assert "vocabulary  9 tokens: " in told
    assert "bits) per token, at step 3" in told
    bytes_ = numlstm("train", prose, *SHORT, "--level", "byte", "--steps", "3", "-o", "b.npz")
    assert " bytes, 256 distinct: any byte" in bytes_.stderr
    assert "bits/byte" in bytes_.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--level", "line"), "--level is 'line'; expected char, byte or word"),
        (("--vocab-size", "9"), "--vocab-size is 9 but --level is char; expected it only with --level word"),
        (("--level", "byte", "--min-count", "2"), "--min-count is 2 but --level is byte"),
        (("--pretokenised",), "pretokenised is True but --level is char"),
        (("--level", "word", "--min-count", "0"), "--min-count is 0; expected a whole number from 1"),
        (("--level", "byte", "--encoding", "latin-1"), "--encoding is latin-1 with --level byte"),
    ],
)
def test_options_that_make_no_sense(
    numlstm: Command, prose: str, options: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    done = numlstm("train", prose, *SHORT, *options)
    assert done.returncode == 1
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "weights.npz").exists()


@pytest.mark.parametrize(
    "option", [("--level", "word"), ("--vocab-size", "9"), ("--min-count", "2"), ("--pretokenised",)]
)
def test_the_level_of_a_run_cannot_change(numlstm: Command, prose: str, option: tuple[str, ...]) -> None:
    assert numlstm("train", prose, *SHORT, "--steps", "2").returncode == 0
    done = numlstm("train", "--resume", "weights.npz", *option)
    assert done.returncode == 1
    assert f"{option[0]} cannot change in a resumed run" in done.stderr


@pytest.fixture
def words(tmp_path: Path) -> str:
    """Write a model that generates only <unk> if allowed to, and otherwise almost always "cat"."""
    vocab = WordVocab(("<unk>", "<eos>", "<join>", "cat", "dog", ",", '"'))
    config = NetworkSettings(len(vocab), (4,))
    flat = parameters.initialise(config, 0)
    parameters.views(flat, config)["output.b"][[0, 3]] = 90, 40
    weights_file.save(tmp_path / "words.npz", weights_file.WeightsFile(config, vocab, flat, {}, None))
    return "words.npz"


def test_unknown_words_are_not_written_unless_allowed(numlstm: Command, words: str) -> None:
    options = ("gen", words, "--length", "3", *REFERENCE)
    assert numlstm(*options).stdout == "cat cat cat"
    assert numlstm(*options, "--allow-unk").stdout == "<unk> <unk> <unk>"
    assert numlstm(*options, "--temperature", "1000").stdout.count("<unk>") == 0


def test_the_text_goes_on_from_the_prompt_as_it_was_typed(numlstm: Command, words: str) -> None:
    options = (*REFERENCE, "--length", "2", "--prompt")
    done = numlstm("gen", words, *options, 'The  dog, "zebra ')
    assert done.stdout == 'The  dog, "zebra cat cat'
    assert done.stderr == "(3 tokens of the prompt unknown to the model)\n", "two words and one double space"
    assert numlstm("gen", words, *options, "dog").stderr == ""
    assert numlstm("gen", words, *options, "zebra dog, ", "--drop-unknown").stdout == "dog, cat cat"
    two = numlstm("gen", words, *options, 'dog "', "--samples", "2", "--seed", "1").stdout
    assert two == '--- 1 of 2, seed 1 ---\ndog "cat cat\n--- 2 of 2, seed 1 ---\ndog "cat cat\n'


def test_unknown_words_are_counted_by_eval(numlstm: Command, words: str, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("cat, zebra dog cat\n", encoding="utf-8", newline="")
    done = numlstm("eval", words, "other.txt", "--json", *REFERENCE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["unknown"] == 1
    assert json.loads(done.stdout)["tokens"] == 5
    said = numlstm("eval", words, "other.txt", *REFERENCE).stdout
    assert "nats per token" in said
    assert "1 tokens are not in the vocabulary and were read and predicted as <unk>" in said


def test_bytes_are_written_as_they_are(numlstm: Command, tmp_path: Path, environment: dict[str, str]) -> None:
    import subprocess
    import sys

    config = NetworkSettings(256, (4,))
    flat = parameters.initialise(config, 0)
    parameters.views(flat, config)["output.b"][0xE9] = 90  # é in latin-1, invalid as UTF-8
    weights_file.save(tmp_path / "b.npz", weights_file.WeightsFile(config, ByteVocab(), flat, {}, None))
    command = [
        sys.executable,
        "-m",
        "numlstm",
        "gen",
        str(tmp_path / "b.npz"),
        "--length",
        "5",
        "--device",
        "reference",
    ]
    done = subprocess.run([*command, "--prompt", "한"], env=environment, capture_output=True, check=True, timeout=60)
    assert done.stdout == "한".encode() + b"\xe9" * 5
    assert np.frombuffer(done.stdout, np.uint8).size == 8


def test_bytes_that_are_no_text_are_shown_by_a_sign() -> None:
    from numlstm.cli.gen.text_output import _without_escapes

    assert _without_escapes(b"a\xe9\xed\x95\x9cb".decode("utf-8", "surrogateescape")) == "a\ufffd한b"
    assert _without_escapes(b"\x80\xff\xee\x80\x80".decode("utf-8", "surrogateescape")) == "\ufffd\ufffd\ue000"


def test_compressed_texts_are_trained_on(numlstm: Command, prose: str, tmp_path: Path) -> None:
    import gzip

    (tmp_path / "prose.txt.gz").write_bytes(gzip.compress(PROSE.encode()))
    done = numlstm("train", "prose.txt.gz", *SHORT, "--steps", "2")
    assert done.returncode == 0, done.stderr
    assert f"{len(PROSE):,} characters" in done.stderr


def test_samples_go_on_from_a_line_of_known_words() -> None:
    text = "a b c d e f\n" * 90 + "a b\n" + "a b c rare words\na b c other rare\na b c d e\n" * 8
    found = load_corpus(["-"], stdin=io.BytesIO(text.encode()), level=TextSettings("word", vocab_size=9))
    assert found.unknown
    assert default_prompt(found) == "a b c d e"
    unknown = load_corpus(
        ["-"], stdin=io.BytesIO(b"a " * 90 + b"an odd\nlot of words\n" * 9), level=TextSettings("word", 4)
    )
    assert "<unk>" in default_prompt(unknown), "used only where no line is fully known"
