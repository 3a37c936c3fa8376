"""`--precision` end to end, on processors with and without the bf16 instruction.

A process compiles its kernels for one processor, so each simulated processor needs its own subprocess.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numlstm.network import weights_file
from tests.cli.conftest import Command

TINY = ("--layers", "12,9", "--batch-size", "4", "--seq-len", "16", "--device", "cpu", "--sample-length", "0")
CANNOT = {"NUMLSTM_SIMD": "plain", "NUMLSTM_BF16": ""}  # as on a processor without the instruction
EMULATED = {"NUMLSTM_BF16": "emulated"}


def precision_of(path: Path) -> str:
    state = weights_file.load(path).state
    assert state is not None
    return state.config.precision


@pytest.mark.parametrize(
    ("options", "said", "where"),
    [
        (("--precision", "bf16"), "precision bf16 is not available: ", "numlstm_process"),
        (("--precision", "bf16", "--device", "reference"), "precision bf16 needs --device cpu", "numlstm"),
        (("--precision", "half"), "precision is 'half'; expected float32, bf16", "numlstm"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_anything_is_compiled_or_written(
    request: pytest.FixtureRequest,
    text_file: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    said: str,
    where: str,
) -> None:
    run: Command = request.getfixturevalue(where)
    cannot = CANNOT if where == "numlstm_process" else {}
    done = run("train", text_file, *TINY, "--steps", "2", *options, **cannot)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("numlstm: ")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [text_file.name]


@pytest.mark.slow
def test_a_run_in_bf16_goes_on_elsewhere_in_float32(numlstm_process: Command, text_file: Path, tmp_path: Path) -> None:
    numlstm = numlstm_process
    path = tmp_path / "weights.npz"
    done = numlstm("train", text_file, *TINY, "--steps", "3", "--precision", "bf16", **EMULATED)
    assert done.returncode == 0, done.stderr
    assert "bf16 products" in done.stderr
    assert precision_of(path) == "bf16"
    assert "precision bf16" in numlstm("info", path).stdout

    done = numlstm("train", "--resume", path, "--steps", "4", "--device", "cpu", "--sample-length", "0", **EMULATED)
    assert done.returncode == 0, done.stderr
    assert "bf16 products" in done.stderr
    assert " is now " not in done.stderr

    before = path.read_bytes()
    for device in ("cpu", "reference"):
        refused = numlstm("train", "--resume", path, "--steps", "5", "--device", device, **CANNOT)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "; use --precision float32 to continue this run: the result will differ slightly" in refused.stderr
    assert path.read_bytes() == before
    assert numlstm("eval", path, text_file, "--device", "reference", **CANNOT).returncode == 0
    assert numlstm("gen", path, "--length", "5", "--device", "reference", **CANNOT).returncode == 0

    resume = ("train", "--resume", path, "--device", "reference", "--sample-length", "0")
    done = numlstm(*resume, "--steps", "5", "--precision", "float32", **CANNOT)
    assert done.returncode == 0, done.stderr
    assert "precision was bf16 and is now float32: the result will differ from an unchanged run" in done.stderr
    assert precision_of(path) == "float32"
    again = numlstm(*resume, "--steps", "6", "--precision", "float32", **CANNOT)
    assert again.returncode == 0
    assert " is now " not in again.stderr


@pytest.mark.slow
def test_check_of_bf16_alone(numlstm_process: Command) -> None:
    done = numlstm_process("check", "--device", "cpu", "--precision", "bf16", "--json", **EMULATED)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ok"]
    assert said["not_checked"] == {}
    assert len(said["rows"]) > 50
    assert all(", bf16: " in row["what"] and 0 <= row["error"] <= row["allowed"] == 2**-6 for row in said["rows"])
    assert max(row["error"] for row in said["rows"]) > 1e-3, "nothing was rounded"


def test_check_of_bf16_where_it_cannot_be(numlstm_process: Command) -> None:
    done = numlstm_process("check", "--device", "cpu", "--precision", "bf16", **CANNOT)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("numlstm: precision bf16 is not available: ")
    assert done.stderr.count("\n") == 1


def test_help_says_who_computes_how(numlstm: Command) -> None:
    said = " ".join(numlstm("train", "--help-all").stdout.replace("│", " ").split())
    assert "--precision" in said
    assert "auto tries a few steps of each" in said
    assert "Sums and weights stay float32" in said
