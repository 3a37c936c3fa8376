"""How the command line is run in tests: in a process of its own, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Result = subprocess.CompletedProcess[str]
Command = Callable[..., Result]


@pytest.fixture
def environment() -> dict[str, str]:
    """No colours, a wide terminal, and whatever else the test process has."""
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", "PYTHONIOENCODING": "utf-8"}


@pytest.fixture
def numlstm(tmp_path: Path, environment: dict[str, str]) -> Command:
    """Run `numlstm ARGS` in the test's folder; `stdin` is given as bytes or text."""

    def run(*args: str | Path, stdin: str | bytes = "", **variables: str) -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "numlstm", *map(str, args)],
            cwd=tmp_path,
            env={**environment, **variables},
            input=data,
            capture_output=True,
            timeout=300,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


TINY = ("--layers", "12,9", "--batch-size", "4", "--seq-len", "16", "--device", "reference", "--sample-length", "20")


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Options that make a run of seconds."""
    return TINY
