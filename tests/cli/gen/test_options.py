"""The options of `numlstm gen` for sampling, prompts and output files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import numlstm as library
from numlstm.cli.gen.option_rules import unescaped
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab
from tests.cli.conftest import Command, Result

SYMBOLS = "\n abcdefgh"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the weights file of an untrained network."""
    config = NetworkSettings(len(SYMBOLS), (10, 6))
    path = tmp_path_factory.mktemp("model") / "w.npz"
    weights_file.save(
        path, weights_file.WeightsFile(config, CharVocab(SYMBOLS), parameters.initialise(config, 1), {}, None)
    )
    return path


@pytest.fixture
def gen(numlstm: Command) -> Command:
    """Run `numlstm gen MODEL ARGS` with the NumPy reference backend."""

    def run(model: Path, *args: str | Path, stdin: str = "") -> Result:
        return numlstm("gen", model, *args, "--device", "reference", stdin=stdin)

    return run


USUAL = ("--prompt", "ab", "--length", "80", "--temperature", "1", "--seed", "4")
API = {"length": 80, "temperature": 1.0, "seed": 4}


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (("--top-k", "2"), {"top_k": 2}),
        (("--top-p", "0.5"), {"top_p": 0.5}),
        (("--min-p", "0.95"), {"min_p": 0.95}),
        (("--repetition-penalty", "50"), {"repetition_penalty": 50}),
        (("--repetition-penalty", "50", "--penalty-window", "2"), {"repetition_penalty": 50, "penalty_window": 2}),
        (("--stop", "b", "--stop", r"\n"), {"stop": ["b", "\n"]}),
        (("--ban", "c", "--ban", r"a\n"), {"ban": ["c", "a\n"]}),
        (("--initials", "head"), {"initials": "head"}),
        (("--initials", "head", "--initials-of", "word"), {"initials": "head", "initials_of": "word"}),
    ],
    ids=str,
)
def test_an_option_does_what_the_setting_does(
    gen: Command, model: Path, options: tuple[str, ...], settings: dict[str, object]
) -> None:
    loaded = library.load(str(model), device="reference")
    expected = loaded.generate("ab", **API, **settings)
    done = gen(model, *USUAL, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ab" + expected
    assert expected != loaded.generate("ab", **API)


def test_options_together_and_json(gen: Command, model: Path, tmp_path: Path) -> None:
    options = (*USUAL, "--samples", "3", "--stop", r"\n", "--ban", "cc", "--top-p", "0.95")
    settings = {"stop": ["\n"], "ban": ["cc"], "top_p": 0.95}
    loaded = library.load(str(model), device="reference")
    expected = loaded.generate_many(["ab"] * 3, **API, **settings)
    found = json.loads(gen(model, *options, "--json").stdout)
    assert [sample["text"] for sample in found["samples"]] == expected
    assert found["settings"]["top_p"] == 0.95
    for sample in found["samples"]:
        assert sample["prompt"] == "ab"
        assert sample["seed"] == 4
        assert "".join(sample["tokens"]) == sample["text"] == loaded.vocab.decode(sample["ids"])
        assert len(sample["log_probabilities"]) == len(sample["tokens"])
        assert sample["log_probability"] == pytest.approx(sum(sample["log_probabilities"]))
        assert all(nats < 0 for nats in sample["log_probabilities"])
    file = tmp_path / "texts.txt"
    done = gen(model, *options, "-o", file)
    assert (done.stdout, done.returncode) == ("", 0)
    assert f"wrote {len(file.read_text())} characters to {file}" in done.stderr
    assert file.read_text() == gen(model, *options).stdout


def test_a_file_is_not_overwritten_unasked(gen: Command, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("old")
    done = gen(model, *USUAL, "--output", file)
    assert done.returncode == 1
    assert "exists; use --overwrite" in done.stderr
    assert file.read_text() == "old"
    assert gen(model, *USUAL, "--output", file, "--overwrite").returncode == 0
    assert file.read_text() == gen(model, *USUAL).stdout


def test_prompts_from_files(gen: Command, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"head\n")
    expected = gen(model, *USUAL[2:], "--prompt", "head\n").stdout
    assert expected.startswith("head\n")
    assert gen(model, *USUAL[2:], "--prompt-file", file).stdout == expected
    assert gen(model, *USUAL[2:], "--prompt-file", "-", stdin="head\n").stdout == expected
    assert "cannot be read: No such file" in gen(model, "--prompt-file", tmp_path / "no.txt").stderr
    file.write_bytes(b"ab\xff")
    assert "is not UTF-8: byte 2 is 0xff" in gen(model, "--prompt-file", file).stderr
    file.write_bytes(b"\xef\xbb\xbfhead\n")
    assert gen(model, *USUAL[2:], "--prompt-file", file).stdout == expected, "the byte-order mark was kept"


def test_a_prompt_for_a_model_of_bytes_may_be_any_file(gen: Command, tmp_path: Path) -> None:
    config, path = NetworkSettings(256, (6,)), tmp_path / "bytes.npz"
    weights_file.save(path, weights_file.WeightsFile(config, ByteVocab(), parameters.initialise(config, 1), {}, None))
    data = b"\xef\xbb\xbfab\xff\xe9"
    (tmp_path / "prompt").write_bytes(data)
    done = gen(path, "--prompt-file", tmp_path / "prompt", "--length", "0", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == data


def test_the_tokens_of_a_text_that_ends_amid_a_character(gen: Command, tmp_path: Path) -> None:
    config, path = NetworkSettings(256, (6,)), tmp_path / "bytes.npz"
    weights_file.save(path, weights_file.WeightsFile(config, ByteVocab(), parameters.initialise(config, 1), {}, None))
    done = gen(path, "--samples", "20", "--length", "30", "--temperature", "1", "--seed", "1", "--json")
    samples = json.loads(done.stdout)["samples"]
    assert any(0xC2 <= sample["ids"][-1] <= 0xF4 for sample in samples), "no sample ends in the middle of a character"
    for sample in samples:
        assert "".join(sample["tokens"]) == sample["text"]


def test_prompts_from_a_text(gen: Command, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    text = "".join(random.Random(0).choices(SYMBOLS, k=500))
    file.write_bytes(text.encode())
    starts = set()
    for seed in ("1", "2", "1"):
        done = gen(model, "--prompt-from", file, "--prompt-length", "30", "--length", "0", "--seed", seed)
        place = text.index(done.stdout)
        assert len(done.stdout) == 30
        assert f"(prompt: characters {place} to {place + 30} of {file})" in done.stderr
        starts.add(done.stdout)
    assert len(starts) == 2
    assert len(gen(model, "--prompt-from", file, "--length", "0").stdout) == 60
    file.write_bytes(b"ab")
    assert gen(model, "--prompt-from", file, "--length", "0").stdout == "ab"


def test_beam(gen: Command, model: Path) -> None:
    loaded = library.load(str(model), device="reference")
    done = [gen(model, "--prompt", "ab", "--length", "12", "--beam", n, "--json") for n in ("1", "6")]
    one, six = (json.loads(each.stdout)["samples"][0] for each in done)
    assert one["text"] == loaded.generate("ab", length=12, temperature=0)
    assert six["log_probability"] >= one["log_probability"]
    assert gen(model, "--prompt", "ab", "--length", "12", "--beam", "6").stdout == "ab" + six["text"]


def test_initials_that_did_not_come_are_told(gen: Command, model: Path) -> None:
    done = gen(model, "--initials", "abc", "--length", "1", "--seed", "1")
    assert "(the text ended before the last 2 initials; raise --length above 1)" in done.stderr
    assert gen(model, "--initials", "abc", "--seed", "1", "--initials-of", "word").stderr == "", (
        "the default length must suffice"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--beam", "2", "--top-k", "3"), "give either --beam or --top-k, not both: it looks for"),
        (("--beam", "2", "--samples", "3"), "give either --beam or --samples, not both"),
        (("--beam", "2", "--temperature", "0.6"), "give either --beam or --temperature, not both"),
        (("--beam", "2", "--seed", "3"), "--seed has no effect with --beam"),
        (("-i", "--prompt", "a"), "give either --interactive or --prompt, not both"),
        (("-i", "--json"), "give either --interactive or --json, not both"),
        (("--prompt", "a", "--prompt-file", "b"), "give either --prompt or --prompt-file, not both"),
        (("--prompt-file", "b", "--prompt-from", "c"), "give either --prompt-file or --prompt-from, not both"),
        (("--prompt-length", "3"), "--prompt-length was given without --prompt-from"),
        (("--penalty-window", "3"), "--penalty-window was given without --repetition-penalty"),
        (("--initials-of", "word"), "--initials-of was given without --initials"),
        (("--overwrite",), "--overwrite was given without --output"),
        (("--temperature", "0", "--top-p", "0.5"), "--top-p has no effect with --temperature 0"),
        (("--top-p", "1.5"), "--top-p is 1.5; expected a number above 0 and at most 1"),
        (("--stop", ""), "--stop is ''; expected texts of at least one character"),
        (("--initials", "x"), "no character of the vocabulary begins with"),
        (("--initials-of", "letter", "--initials", "a"), "--initials-of is 'letter'; expected line or word"),
    ],
    ids=str,
)
def test_what_means_nothing_is_one_clear_line(gen: Command, model: Path, options: tuple[str, ...], said: str) -> None:
    done = gen(model, *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_signs_that_are_hard_to_type() -> None:
    assert unescaped(r"a\nb\tc\\n\x" + "\\") == "a\nb\tc\\n\\x\\"
