"""Copy the project, so that a fault can be planted in the copy, and run pytest there.

The checkout stays unchanged. Tests in the copy import the copy's package, even if the checkout is installed in
editable mode.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "numlstm"
LEFT_OUT = (".git", ".venv", "__pycache__", "build", "dist", "*.egg-info", ".hypothesis", ".*_cache")
INTERRUPTED = threading.Event()  # when set, running pytest processes end and no more start

_MARK = "COPY_OF_THE_PROJECT"  # environment variable that marks all processes of a copy: its folder
_ORIGIN = f"import importlib.util as u; found = u.find_spec({PACKAGE!r}); print(found and found.origin)"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S[^\[\n]*?(?:\[.*?\](?= - |$))?)(?: - .*)?$", re.MULTILINE)


class Run(NamedTuple):
    """The exit code of pytest, None if it exceeded the time limit, and its output."""

    code: int | None
    output: str

    @property
    def failed(self) -> str:
        """The id of the first failed test, "" if the output names none."""
        found = _FAILED.search(self.output)
        return found[1] if found else ""


def copy_project(root: Path, copy: Path) -> None:
    """Copy the project at `root` without environments, caches and build output."""
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))


def run_pytest(copy: Path, arguments: Sequence[str], seconds: float, **variables: str) -> Run:
    """Run pytest in a copy until a test fails, then kill all processes that it has started.

    `variables` are added to its environment. Raises RuntimeError if the package would be imported from elsewhere, and
    KeyboardInterrupt once `INTERRUPTED` is set.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    environment = ours | {"PYTHONPATH": str(copy), _MARK: str(copy)} | variables
    origin = subprocess.run(
        [sys.executable, "-c", _ORIGIN], cwd=copy.parent, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    if Path(origin).resolve() != (copy / PACKAGE / "__init__.py").resolve():
        raise RuntimeError(f"{PACKAGE} is imported from {origin}, not from the copy in {copy}")
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *arguments]
    written = copy.with_name(f"{copy.name}.txt")  # not a pipe: a process that outlives pytest would keep it open
    with open(written, "wb") as file:
        streams = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=copy, env=environment, start_new_session=True, **streams)
        try:
            code: int | None = _wait(process, seconds)
        finally:
            process.kill()
            _end_all(copy)
            process.wait()
    return Run(code, written.read_text("utf-8", errors="replace"))


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    while seconds > 0 and not INTERRUPTED.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(min(seconds, 1))
        seconds -= 1
    if INTERRUPTED.is_set():
        raise KeyboardInterrupt
    return None


def _end_all(copy: Path) -> None:
    """Kill the processes that tests in a copy left running, also those in other process groups."""
    mark = f"{_MARK}={copy}".encode()
    while True:
        left = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # another user's process, or it has ended
                if mark in path.read_bytes().split(b"\0"):
                    left.append(int(path.parent.name))
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
