"""A worker process, seen from the server: start it, stop it, and read its result. The other side is `worker.py`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

_LONGEST = 65536  # bytes of the report read at its end
# Its own process group: Ctrl-C in the terminal is for the server, which then tells the worker to stop.
if sys.platform == "win32":
    _APART: Any = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
else:
    _APART: Any = {"start_new_session": True}


class Order(TypedDict):
    """What the worker is to run.

    `settings` are those of `numlstm.new_run`. `resume` is the checkpoint to resume from, if any. `corpus` is a name in
    the catalogue, or "-" for the file `text`.
    """

    settings: dict[str, Any]
    resume: str | None
    corpus: str
    text: str | None


class Process:
    """A worker process in `folder`, which holds the lock file `lock` and prints to the file `errors`.

    It runs `order`. Raises `OSError` if it cannot be started.
    """

    def __init__(self, command: Sequence[str], folder: Path, lock: Path, errors: Path, order: Order) -> None:
        hidden = {"NUMLSTM_API_KEY"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        with open(errors, "wb") as file:
            self._process = subprocess.Popen(
                [*command, str(folder), str(lock)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**environment, "NO_COLOR": "1"},
                **_APART,
            )
        self._tell(json.dumps(order))

    def stop(self) -> None:
        """Ask it to stop after the current step, and to save."""
        self._tell("stop")

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()

    def ended(self) -> int | None:
        """Return its exit code, or None while it runs. A negative code is the signal that killed it."""
        return self._process.poll()

    def close(self) -> dict[str, str] | None:
        """Return the `type` and `message` of the error that it ended with, or None. Call it after the process ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with self._process.stdout as report:
            said = report.read(_LONGEST)
        with contextlib.suppress(ValueError):  # it was killed, perhaps while writing the report
            found = json.loads(said or b"null")
            return found if isinstance(found, dict) else None
        return None

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
