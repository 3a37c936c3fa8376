"""Run the command line in the test process, which saves the start of Python and the loading of the kernels.

A command sees what it would see in a subprocess: its own arguments, working directory, environment and standard
streams, with warnings as errors. Process-wide settings that a command may change are restored afterwards; those that it
must restore itself are checked.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from numlstm.backends import compilation
from numlstm.cli import main


def run(
    args: Sequence[str | Path], folder: Path = Path(), stdin: bytes = b"", variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `numlstm ARGS` in `folder`, with `variables` added to the environment.

    Exceptions that would end a process with a traceback propagate.
    """
    stdout, stderr = io.BytesIO(), io.BytesIO()
    code: object = 0
    with _put_back(), pytest.MonkeyPatch.context() as here, warnings.catch_warnings():
        warnings.simplefilter("error")
        here.chdir(folder)
        for name, value in (variables or {}).items():
            here.setenv(name, value)
        here.setattr(sys, "argv", ["numlstm", *map(str, args)])
        here.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        here.setattr(sys, "stdout", io.TextIOWrapper(stdout, "utf-8"))
        here.setattr(sys, "stderr", io.TextIOWrapper(stderr, "utf-8", "backslashreplace", line_buffering=True))
        here.setattr(sys, "excepthook", sys.excepthook)  # Typer sets its own
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            stream.detach()  # or the garbage collector would close the buffer
    assert isinstance(code, int)
    return subprocess.CompletedProcess(args, code, stdout.getvalue().decode(), stderr.getvalue().decode())


@contextlib.contextmanager
def _put_back() -> Iterator[None]:
    """Restore the environment and the number of threads; assert that the command changed nothing else."""
    environment, before = dict(os.environ), _left_behind()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        if threads := sys.modules.get("numlstm.backends.cpu.threads"):
            threads.set_threads(None)
    assert _left_behind() == before, "a command left this behind in its process"


def _left_behind() -> dict[str, object]:
    """Return the process-wide state that a command must restore itself."""
    numbers = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))  # Windows has no SIGHUP
    return {
        "signal handlers": [signal.getsignal(number) for number in numbers],
        "compile listeners": [*compilation.compile_listeners],
    }
