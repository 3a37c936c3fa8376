"""`numlstm models` and `numlstm share`, and the names of shipped models in place of a file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from numlstm.network import weights_file
from tests.cli.conftest import Command


def test_models_are_listed(numlstm: Command) -> None:
    shown = numlstm("models")
    assert shown.returncode == 0, shown.stderr
    assert "shakespeare" in shown.stdout
    assert "numlstm gen shakespeare" in shown.stdout
    found = json.loads(numlstm("models", "--json").stdout)
    assert found["python"]["parameters"] > 100_000
    assert found["python"]["about"]["licence"]
    assert 0.5 < found["shakespeare"]["nats_per_token"] < 1.6


def test_a_model_that_ships_writes_at_once(numlstm: Command) -> None:
    done = numlstm("gen", "shakespeare", "--prompt", "ROMEO:", "--length", "120", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ROMEO:")
    assert len(done.stdout) == len("ROMEO:") + 120
    assert done.stdout == numlstm("gen", "shakespeare", "--prompt", "ROMEO:", "--length", "120", "--seed", "1").stdout


def test_info_tells_what_ships(numlstm: Command) -> None:
    shown = numlstm("info", "shakespeare").stdout
    for said in (
        "title",
        "licence",
        "command     numlstm train shakespeare --layers",
        "nats per character",
        "rounded     bf16 1.",
    ):
        assert said in shown


@pytest.fixture
def trained(numlstm: Command, text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> Path:
    assert numlstm("train", text_file, *tiny, "--steps", "3").returncode == 0
    return tmp_path / "weights.npz"


def test_share_writes_a_small_copy(numlstm: Command, trained: Path, text_file: Path, tmp_path: Path) -> None:
    done = numlstm("share", "weights.npz", "-o", "copy.npz", "--title", "Letters", "--licence", "CC0-1.0")
    assert done.returncode == 0, done.stderr
    copy = weights_file.load(tmp_path / "copy.npz")
    assert copy.summary["about"] == {"title": "Letters", "licence": "CC0-1.0"}
    assert copy.summary["corpus"]["sources"] == [text_file.name]
    assert str(text_file.parent) not in json.dumps(copy.summary)
    assert (tmp_path / "copy.npz").stat().st_size < trained.stat().st_size / 3
    assert "Letters" in numlstm("info", "copy.npz").stdout
    a, b = (numlstm("gen", name, "--length", "30", "--seed", "2").stdout for name in ("copy.npz", "weights.npz"))
    assert len(a) == len(b) == 30
    refused = numlstm("train", "--resume", "copy.npz")
    assert refused.returncode == 1
    assert "no training state" in refused.stderr


def test_share_keeps_all_bits_on_request_and_overwrites_nothing(
    numlstm: Command, trained: Path, tmp_path: Path
) -> None:
    assert numlstm("share", "weights.npz", "-o", "copy.npz", "--full").returncode == 0
    assert weights_file.load(tmp_path / "copy.npz").params.tobytes() == weights_file.load(trained).params.tobytes()
    again = numlstm("share", "weights.npz", "-o", "copy.npz")
    assert again.returncode == 1
    assert "exists" in again.stderr
    assert numlstm("share", "weights.npz", "-o", "copy.npz", "--overwrite").returncode == 0
    assert weights_file.load(tmp_path / "copy.npz").params.tobytes() != weights_file.load(trained).params.tobytes()


def test_the_command_that_trained_is_kept(numlstm: Command, trained: Path) -> None:
    (first,) = weights_file.load(trained).summary["commands"]
    assert first.startswith("numlstm train ")
    assert first.endswith("--steps 3")
    assert numlstm("train", "--resume", trained, "--steps", "5", "--sample-length", "0").returncode == 0
    assert len(weights_file.load(trained).summary["commands"]) == 2
    assert "command     numlstm train" in numlstm("info", trained).stdout


def test_what_a_file_says_of_itself_gives_the_terminal_no_commands(numlstm: Command, tmp_path: Path) -> None:
    file = weights_file.load("shakespeare")
    about = {"title": "a\x1b]0;b\x07c\u202e\nlicence     free"}
    weights_file.save(tmp_path / "odd.npz", dataclasses.replace(file, summary={"about": about}))
    shown = numlstm("info", "odd.npz")
    assert shown.returncode == 0, shown.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.stdout)
    assert "title       a" in shown.stdout
    assert "\nlicence" not in shown.stdout


@pytest.mark.parametrize(
    "summary",
    [
        {"about": "me"},
        {"corpus": {}},
        {"corpus": {"characters": "many", "sources": []}},
        {"corpus": {"characters": 3, "sources": [1]}},
        {"commands": 5},
        {"commands": ["it's"]},
        {"best_loss": "low"},
        {"evaluated": {"carried": None}},
        {"history": 3},
    ],
    ids=str,
)
def test_a_summary_that_numlstm_did_not_write_is_one_line(
    numlstm: Command, tmp_path: Path, summary: dict[str, Any]
) -> None:
    weights_file.save(tmp_path / "odd.npz", dataclasses.replace(weights_file.load("shakespeare"), summary=summary))
    codes = []
    for command in (["info", "odd.npz"], ["share", "odd.npz", "-o", "copy.npz"]):
        done = numlstm(*command)
        codes.append(done.returncode)
        if done.returncode:
            assert "odd.npz" in done.stderr
            assert done.stderr.count("\n") == 1, done.stderr
    assert 1 in codes


def test_a_name_of_a_model_that_ships_is_no_output(numlstm: Command, text_file: Path, tiny: tuple[str, ...]) -> None:
    """Reading that name later would load the shipped model instead."""
    done = numlstm("train", text_file, *tiny, "--steps", "1", "-o", "shakespeare")
    assert done.returncode == 1
    assert "shakespeare is the name of a shipped model" in done.stderr
    assert done.stderr.count("\n") == 1


def test_share_names_its_own_options_and_writes_elsewhere(numlstm: Command, trained: Path, tmp_path: Path) -> None:
    refused = numlstm("share", "weights.npz", "-o", "weights.npz")
    assert refused.returncode == 1
    assert "--resume" not in refused.stderr
    pytest.importorskip("fsspec")
    done = numlstm("share", "weights.npz", "-o", f"file://{(tmp_path / 'there.npz').as_posix()}")
    assert done.returncode == 0, done.stderr
    size = (tmp_path / "there.npz").stat().st_size
    assert f"{size:,} bytes" in done.stderr
