"""Runs the command line in the test's own process: the same words, the same output, and no start of a Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

from typer.testing import CliRunner

from numlstm.cli import app


def run(*args: str | Path, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `numlstm ARGS` in the current folder."""
    environment = {"NO_COLOR": "1", "COLUMNS": "160", **variables}
    done = CliRunner().invoke(app, [*map(str, args)], input=stdin.encode(), env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(args, done.exit_code, done.stdout, done.stderr)
