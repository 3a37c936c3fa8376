"""The process that a job runs in: started, told to stop, and heard when it ends.

Knows nothing about what it does, nor about jobs.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

_LONGEST = 65536  # bytes of what it says at its end
# Not of the terminal's group, whose Ctrl-C is the server's. The child is told to stop when the server has.
if sys.platform == "win32":
    _APART: Any = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
else:
    _APART: Any = {"start_new_session": True}


class Order(TypedDict):
    """What the server asks for.

    `settings` are those of `numlstm.new_run`, `resume` the file to go on with, `corpus` a name of the catalogue or "-",
    which stands for the file `text`.
    """

    settings: dict[str, Any]
    resume: str | None
    corpus: str
    text: str | None


class Process:
    """A process at work in `folder`, under the lock at `lock`; what it prints goes to `errors`.

    `order` is what it is told to do: see `worker.py`. Raises `OSError` if it cannot be started.
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
        """Ask it to stop after the step under way, and to save."""
        self._tell("stop")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def ended(self) -> int | None:
        """Return its exit code, or None as long as it runs; a negative one is the signal that ended it."""
        return self._process.poll()

    def close(self) -> dict[str, str] | None:
        """Return the error that it ended with, its `type` and `message`, or None. It must have ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with self._process.stdout as report:
            said = report.read(_LONGEST)
        with contextlib.suppress(ValueError):  # it was killed, perhaps while it wrote
            found = json.loads(said or b"null")
            return found if isinstance(found, dict) else None
        return None

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
