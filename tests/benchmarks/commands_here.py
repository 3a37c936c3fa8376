"""Run the commands that a benchmark starts (`python -m numlstm ...` or a script) in the test's own process."""

from __future__ import annotations

import contextlib
import io
import runpy
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.cli import in_process

_run, _Popen = subprocess.run, subprocess.Popen


def run(command: Sequence[str], *, check: bool = False, text: bool = False, **options: Any) -> Any:
    """Replacement for `subprocess.run`; commands other than Python, such as git, still run as processes."""
    if command[1:3] == ["-m", "numlstm"]:
        done = in_process.run(command[3:])
        code, out, err = done.returncode, done.stdout, done.stderr
    elif command[1:] == ["-c", "pass"]:
        code, out, err = 0, "", ""
    elif command[0] == sys.executable and command[1].endswith(".py"):
        code, out, err = 0, _output_of_script(command[1:]), ""
    else:
        return _run(command, check=check, text=text, **options)
    if check and code:
        raise subprocess.CalledProcessError(code, command, out, err)
    return subprocess.CompletedProcess(command, code, *((out, err) if text else (out.encode(), err.encode())))


def _output_of_script(command: Sequence[str]) -> str:
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", list(command))
        runpy.run_path(command[0])
    return printed.getvalue()


class Ended:
    """A process that has exited."""

    def __init__(self, code: int) -> None:
        self.returncode = code

    def poll(self) -> int:
        return self.returncode


def start(command: Sequence[str], **options: Any) -> Any:
    """Replacement for `subprocess.Popen`: a numlstm command runs to its end before this returns."""
    if command[1:3] == ["-m", "numlstm"]:
        return Ended(run(command).returncode)
    return _Popen(command, **options)
