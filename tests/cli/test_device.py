"""`--device` end to end, with and without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from numlstm.analysis import gradient_check
from numlstm.backends import registry
from numlstm.backends.gpu import probe
from tests.cli.conftest import Command

SMALL = ("--layers", "8", "--batch-size", "2", "--seq-len", "8", "--steps", "2", "--sample-length", "0")


@pytest.fixture
def why_not() -> str:
    """Return why the GPU backend does not work here; skip the test if it works."""
    found = registry.why_not("gpu")
    if not found:
        pytest.skip("needs a machine without a working GPU")
    return found


def test_a_gpu_that_is_not_there_is_one_line(why_not: str, numlstm: Command, text_file: Path, tmp_path: Path) -> None:
    for command in (("train", text_file, *SMALL), ("gen", "shakespeare", "--length", "5"), ("check",)):
        done = numlstm(*command, "--device", "gpu")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"numlstm: device gpu is not available: {why_not}\n"
    assert [path.name for path in tmp_path.iterdir()] == [text_file.name]


def test_the_header_says_why_auto_took_the_cpu(
    numlstm: Command, why_not: str, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(text_file.parent)
    monkeypatch.setattr(registry, "_preferred", lambda: ["gpu", "reference"])  # needs no compiled kernels
    monkeypatch.setattr(probe, "seems_present", lambda: True)
    done = numlstm("train", text_file, *SMALL)
    assert done.returncode == 0, done.stderr
    assert f"device      reference (NumPy); the GPU is not used: {why_not}\n" in done.stderr
    done = numlstm("train", text_file, *SMALL, "--device", "reference", "-o", "other.npz")
    assert "GPU" not in done.stderr


def test_a_short_text_and_help_ask_for_no_gpu() -> None:
    for command in (("gen", "shakespeare", "--length", "20", "--seed", "1"), ("gen", "--help"), ("train", "--help")):
        script = f"import sys; sys.argv = ['numlstm', *{command!r}]; from numlstm.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", script], capture_output=True, text=True, check=True, timeout=60
        )
        names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "numlstm.cli" in names
        assert not names & {"cupy", "numlstm.backends.gpu", "numlstm.backends.gpu.probe"}


def test_check_ends_with_a_report(numlstm: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        gradient_check.Row(what, (2,), error, 1e-4) for what, error in (("dense: d W", 2e-9), ("a, float32: d W", 3e-6))
    ]
    monkeypatch.setattr(gradient_check, "check", lambda backend, **_: iter(rows))
    done = numlstm("check", "--device", "reference", "--precision", "float32")
    assert done.returncode == 0, done.stderr
    report = done.stdout.rstrip().rpartition("\n\n")[2].splitlines()
    assert (report[0], report[-1]) == ("```", "```")
    names = [line.partition("  ")[0] for line in report[1:-1]]
    errors = ["error, finite differences", "error, to reference, float32"]
    assert names == ["numlstm", "device", "numpy", "python", "os", "machine", *errors]
    said = json.loads(numlstm("check", "--device", "reference", "--precision", "float32", "--json").stdout)
    assert [said["report"][name] for name in errors] == ["2.0e-09", "3.0e-06"]
    assert list(said["report"]) == names
