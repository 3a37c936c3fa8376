"""`python -m benchmarks` runs all scripts in turn, and each script also runs by itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as every

ROOT = Path(__file__).resolve().parents[2]
ON_THEIR_OWN = ("against", "first_text", "gpu_on_paper", "large", "ngram", "pictures", "serve", "words")


@pytest.mark.parametrize(("arguments", "handed_on"), [([], []), (["--quick"], ["--quick"])])
def test_all_scripts_run_even_after_one_that_fails(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], handed_on: list[str]
) -> None:
    commands: list[list[str]] = []
    failing = ""

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=3 if command[2] == failing else 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    assert every.main() == 0
    assert commands == [[sys.executable, "-m", f"benchmarks.{name}", *handed_on] for name in every.SCRIPTS]
    commands.clear()
    failing = "benchmarks.train"
    assert every.main() == 1
    assert len(commands) == len(every.SCRIPTS)


def test_all_scripts_are_there() -> None:
    assert all(importlib.util.find_spec(f"benchmarks.{name}") for name in (*every.SCRIPTS, *ON_THEIR_OWN))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", *(f".{name}" for name in (*every.SCRIPTS, *ON_THEIR_OWN))])
def test_a_command_says_what_it_is_for(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if name == ".pictures" and importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed (the extra `benchmark`)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m benchmarks{name}")
