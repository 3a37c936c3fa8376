"""Fixtures that run the command line: in the test process, or in a subprocess where the process itself is tested."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import in_process

Result = subprocess.CompletedProcess[str]
Command = Callable[..., Result]

# No colours and a wide terminal, regardless of the environment that the tests run in.
PLAIN = {"NO_COLOR": "1", "COLUMNS": "160"}


@pytest.fixture
def numlstm(tmp_path: Path) -> Command:
    """Run `numlstm ARGS` in the test's folder; `stdin` is bytes or text; other keywords set environment variables."""

    def run(*args: str | Path, stdin: str | bytes = "", **variables: str) -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        return in_process.run([str(arg) for arg in args], tmp_path, data, {**PLAIN, **variables})

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment variables for a command in a subprocess."""
    return {**os.environ, **PLAIN, "PYTHONIOENCODING": "utf-8"}


@pytest.fixture
def numlstm_process(tmp_path: Path, environment: dict[str, str]) -> Command:
    """Do the same as the fixture `numlstm` in a subprocess. Use sparingly: each call takes half a second or more."""

    def run(*args: str | Path, stdin: str | bytes = "", **variables: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "numlstm", *map(str, args)],
            cwd=tmp_path,
            env={**environment, **variables},
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=300,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def text_file(tmp_path: Path, source_text: str) -> Path:
    """Write a short text: with the options `tiny`, an epoch is 23 steps."""
    path = tmp_path / "text.txt"
    path.write_text(source_text[:1600], encoding="utf-8", newline="")
    return path


TINY = ("--layers", "12,9", "--batch-size", "4", "--seq-len", "16", "--device", "reference", "--sample-length", "20")


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Return options for a run that takes less than a second."""
    return TINY
