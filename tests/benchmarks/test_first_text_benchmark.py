"""`benchmarks.first_text`: the environments, the commands run in them, and the check that both texts agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import first_text

RunScript = Callable[..., str]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Install nothing: a new environment uses the test's Python and has a 2 MB file. Returns the requested packages."""
    packages: list[list[str]] = []
    run = subprocess.run

    def stand_in(command: list[str], **options: Any) -> Any:
        if command[1:3] == ["-m", "venv"]:
            python = Path(command[3]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n', "utf-8")
            python.chmod(0o755)
        elif command[1:4] == ["-m", "pip", "install"]:
            (Path(command[0]).parent / "package").write_bytes(bytes(2_000_000))
            packages.append(command[5:])
        else:
            return run(command, **options)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", stand_in)
    return packages


needs_a_shell = pytest.mark.skipif(os.name == "nt", reason="the stand-in for an environment is a shell script")


@needs_a_shell
def test_a_place_is_an_environment_with_a_package(
    monkeypatch: pytest.MonkeyPatch, installed: list[list[str]], tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMLSTM_SIMD", "plain")
    place = first_text.Place(tmp_path / "place", "something", "more")
    assert installed == [["something", "more"]]
    assert place.about["megabytes"] == 2.0
    look = "import os; print([os.environ.get(name) for name in ('NUMLSTM_CACHE_DIR', 'NUMLSTM_SIMD')])"
    seconds, printed = place.run("-S", "-c", look)
    assert printed == f"{[str(place.cache), None]}\n"
    assert seconds > 0
    with pytest.raises(RuntimeError, match="exit code 3"):
        place.run("-S", "-c", "raise SystemExit(3)")


class Prepared:
    """Replacement for `Place`: runs numlstm in the test's process, and returns its text as PyTorch's."""

    theirs = ""

    def __init__(self, folder: Path, *packages: str) -> None:
        assert packages in ((str(ROOT),), ("torch", "numpy"))
        self.about = {"seconds": 2.0, "megabytes": 300.0}

    def run(self, *command: str) -> tuple[float, str]:
        from tests.cli import in_process

        if command[0] != "-m":
            return 3.0, "" if command[0] == "-c" else self.theirs
        done = in_process.run(command[2:])
        assert done.returncode == 0, done.stderr
        if command[-1] == "0":
            Prepared.theirs = self.theirs or done.stdout
        return 1.5, done.stdout


def test_the_first_text_and_those_after_it(
    run_script: RunScript, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(first_text, "Place", Prepared)
    monkeypatch.setattr(Prepared, "theirs", "")
    monkeypatch.setattr(first_text, "_LENGTH", 20)
    printed = run_script(first_text, "--quick", "-o", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert len(found["verification"]["text"].strip()) >= 10
    assert found["first"] == {first_text.OURS: 1.5, first_text.THEIRS: 3.0}
    assert {name: each["rounds"] for name, each in found["again"].items()} == {
        first_text.OURS: [1.5],
        first_text.THEIRS: [3.0],
    }
    assert found["ratio"]["median"] == 2.0
    assert "PyTorch takes 2.00 times as long" in printed


def test_texts_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_text, "Place", Prepared)
    monkeypatch.setattr(Prepared, "theirs", "another text")
    with pytest.raises(RuntimeError, match="the likeliest texts differ"):
        first_text.measure(1)


@pytest.mark.slow
@pytest.mark.judge
@needs_a_shell
def test_both_write_the_same_text_from_the_same_weights(
    run_script: RunScript, installed: list[list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: install the extra `judge`")
    run_script(first_text, "--quick", "-o", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert installed == [[str(ROOT)], ["torch", "numpy"]]
    assert len(found["verification"]["text"]) >= 250
