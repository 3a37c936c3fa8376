"""`numlstm gen --precision`: the text of the library, one line for what is not faster, and for a wrong name."""

from __future__ import annotations

from pathlib import Path

import pytest

from numlstm.backends import registry
from numlstm.model import generation_model
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.char import CharVocab
from tests.cli.conftest import Command

SYMBOLS = "\n abcdefgh"
OPTIONS = ("--prompt", "ab", "--length", "80", "--temperature", "1", "--seed", "4")


def saved(path: Path, **network: object) -> Path:
    """Write the weights file of an untrained network."""
    config = NetworkSettings(len(SYMBOLS), (10, 6), **network)
    flat = 3 * parameters.initialise(config, 1)
    weights_file.save(path, weights_file.WeightsFile(config, CharVocab(SYMBOLS), flat, {}, None))
    return path


@pytest.mark.parametrize("precision", ["float32", "bf16", "int8"])
def test_a_text_is_that_of_the_library(numlstm: Command, tmp_path: Path, precision: str) -> None:
    path = saved(tmp_path / "w.npz")
    model = generation_model(weights_file.load(path), registry.load("reference"), precision=precision)
    done = numlstm("gen", path, *OPTIONS, "--precision", precision)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ab" + model.generate("ab", length=80, temperature=1.0, seed=4)


@pytest.mark.slow
def test_a_network_that_gains_nothing_is_named(numlstm: Command, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npz", embedding=4)
    done = numlstm("gen", path, *OPTIONS, "--precision", "int8", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "(int8 makes this kind of network no faster: it is read as float32)\n" in done.stderr


def test_a_precision_that_there_is_not_is_one_line(numlstm: Command, tmp_path: Path) -> None:
    done = numlstm("gen", saved(tmp_path / "w.npz"), "--precision", "fp16")
    assert done.returncode == 1
    assert done.stderr == "numlstm: --precision is 'fp16'; expected float32 or bf16 or int8\n"
