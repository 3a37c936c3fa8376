"""`numlstm gen`: several texts at once, and the choice of the fastest device for the amount of text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import numlstm as library
from numlstm.cli.gen.command import numpy_is_faster
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.char import CharVocab
from tests.cli.conftest import Command

SYMBOLS = "\n abcdefgh"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write the weights file of an untrained network."""
    config = NetworkSettings(len(SYMBOLS), (10, 6))
    path = tmp_path / "w.npz"
    weights_file.save(
        path, weights_file.WeightsFile(config, CharVocab(SYMBOLS), parameters.initialise(config, 1), {}, None)
    )
    return path


def test_several_texts_have_a_line_above_each(numlstm: Command, model: Path) -> None:
    options = ("--length", "40", "--temperature", "1", "--device", "reference")
    done = numlstm("gen", model, "--prompt", "head ", "--samples", "3", "--seed", "7", *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    texts = re.split(r"^--- (\d) of 3, seed 7 ---\n", done.stdout, flags=re.MULTILINE)
    assert texts[0] == ""
    assert texts[1::2] == ["1", "2", "3"]
    found = library.load(str(model), device="reference").generate_many(["head "] * 3, length=40, temperature=1, seed=7)
    assert texts[2::2] == [f"head {text}\n" for text in found]
    assert len(set(found)) == 3
    assert numlstm("gen", model, "--prompt", "head ", "--seed", "7", *options).stdout == f"head {found[0]}"


def test_several_texts_without_a_seed_say_which_it_was(numlstm: Command, model: Path) -> None:
    options = ("gen", model, "--length", "20", "--samples", "2", "--device", "reference")
    done = numlstm(*options)
    (seed, again) = re.findall(r"^--- \d of 2, seed (\d+) ---$", done.stdout, re.MULTILINE)
    assert seed == again
    assert numlstm(*options, "--seed", seed).stdout == done.stdout


@pytest.mark.parametrize("samples", ["0", "-3", "1000000"])
def test_a_number_of_texts_out_of_range(numlstm: Command, model: Path, samples: str) -> None:
    done = numlstm("gen", model, "--samples", samples)
    assert done.returncode == 1
    assert f"--samples is {samples}; expected 1 to" in done.stderr
    assert done.stderr.count("\n") == 1


def test_unknown_characters_are_left_out_of_every_text(numlstm: Command, model: Path) -> None:
    done = numlstm("gen", model, "--prompt", "aXb", "--drop-unknown", "--samples", "2", "--device", "reference")
    assert len(re.findall(r"^--- \d of 2, seed \d+ ---\nab", done.stdout, re.MULTILINE)) == 2


def test_little_text_does_not_wait_for_the_kernels(model: Path, environment: dict[str, str]) -> None:
    command = ["-X", "importtime", "-m", "numlstm", "gen", str(model), "--seed", "5"]
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, timeout=60, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "numpy" in imported
    assert not imported & {"numba", "llvmlite", "cupy", "rich.progress"}
    unused = {"rules", "stops", "beam", "likelihood", "text.corpus", "text.word_vocab", "text.byte_vocab"}
    unused |= {"cli.interactive", "cli.prompts"}
    assert not imported & {f"numlstm.{name}" for name in unused}
    assert "readline" not in imported
    assert done.stdout.decode() == library.load(str(model), device="cpu").generate(seed=5), "depends on the device"


def test_what_little_text_is() -> None:
    small, usual, large = (NetworkSettings(65, layers) for layers in ((64,), (128, 128), (1024, 1024)))
    assert numpy_is_faster(usual, 250, 1)
    assert numpy_is_faster(usual, 250, 8)
    assert not numpy_is_faster(usual, 250, 64), "each stream adds its own arithmetic"
    assert not numpy_is_faster(usual, 10_000, 1)
    assert numpy_is_faster(small, 3000, 1)
    assert not numpy_is_faster(large, 250, 1)
    assert numpy_is_faster(large, 50, 1)
    assert numpy_is_faster(usual, 0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, the device that is always full")
@pytest.mark.parametrize("command", [("gen", "--length", "9", "--device", "reference"), ("info",), ("info", "--json")])
def test_a_full_disk_is_told_in_one_line(model: Path, environment: dict[str, str], command: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        line = [sys.executable, "-m", "numlstm", command[0], str(model), *command[1:]]
        done = subprocess.run(line, env=environment, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"No space left on device; make room" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes a stream")
def test_without_a_standard_output_there_is_one_line(model: Path) -> None:
    command = f"'{sys.executable}' -m numlstm gen '{model}' --device reference --length 5 >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "standard output is closed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_short_texts_are_written_in_64_bits(numlstm: Command, tmp_path: Path) -> None:
    """Float32 weights are computed with in float64, so that the output is the same on every machine."""
    config = NetworkSettings(2, (1,))
    flat = np.zeros(parameters.count(config), np.float32)
    named = parameters.views(flat, config)
    named["lstm.0.b"][...] = [0.3, 0.0, 0.7, 0.2]  # makes h at the first step independent of the input
    named["output.W"][...] = [[1.0, -1.0]]
    weights_file.save(tmp_path / "w.npz", weights_file.WeightsFile(config, CharVocab("ab"), flat, {}))
    done = numlstm("gen", "w.npz", "--length", "1", "--json", "--seed", "1", "--temperature", "1")
    (found,) = json.loads(done.stdout)["samples"][0]["log_probabilities"]
    z = 1 / (1 + np.exp(-np.float64(np.float32([0.3, 0.0, 0.7, 0.2]))))
    c = z[0] * np.tanh(np.float64(np.float32(0.7)))
    h = z[3] * np.tanh(c)
    exact = [float(-np.log1p(np.exp(-2 * sign * h))) for sign in (1, -1)]
    assert min(abs(found - each) for each in exact) < 1e-14, "computed in float32, whose error is about 1e-8"
