"""Servers for tests: a subprocess, as in real use, or a thread in the test process, which starts faster."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numlstm.cli import serve
from numlstm.serve.server_settings import Settings
from tests.helpers.processes import hears_signals
from tests.serve.waiting import PATIENCE, until

_LOGGERS = ("asyncio", "numlstm.serve", "uvicorn.error")
_WITH_WORKER = """
from numlstm.cli import main
from numlstm.serve.jobs.runner import JobRunner
JobRunner.command = {}
main()
"""


class ServerProcess:
    """`numlstm serve` in a subprocess, with warnings as errors; `said` is what it printed.

    `worker` replaces the command that starts training processes.
    """

    def __init__(self, folder: Path, *options: str, worker: Sequence[str] = (), **variables: str) -> None:
        self.folder, self.said = folder, ""
        numlstm = ("-c", _WITH_WORKER.format(tuple(worker))) if worker else ("-m", "numlstm")
        self.process = subprocess.Popen(
            hears_signals(
                [sys.executable, "-W", "error", *numlstm, "serve", "--port", "0", "--models", folder,
                 "--device", "reference", *options]
            ),
            env={**os.environ, "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", **variables},
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )  # fmt: skip
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = self._started.wait(PATIENCE) and re.search(r"serving at http://127\.0\.0\.1:(\d+)", self.said)
        if not found:
            self.end(signal.SIGTERM)
            raise AssertionError(self.said)
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if "serving at" in line:
                self._started.set()
        self._started.set()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the server to exit; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number) if os.name == "posix" else self.process.terminate()
        code = self.process.wait(PATIENCE)
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


class ServerThread:
    """The same server on a real socket, run in a thread; `said` is what it logged."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        chosen = Settings(**{"models": folder, "port": 0, "device": "reference", **settings})
        listening = serve._listening(chosen)
        self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = serve._server(chosen)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._log = _ThreadLog(self._thread)
        for name in _LOGGERS:
            logging.getLogger(name).addHandler(self._log)
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive())
        if not self._thread.is_alive():
            raise AssertionError(self.said)

    @property
    def said(self) -> str:
        return "\n".join(self._log.lines)

    def end(self) -> None:
        """Stop the server as a signal would; assert that it logged no traceback."""
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._log)
        assert "Traceback" not in self.said


class _ThreadLog(logging.Handler):
    """Collects the log lines of one thread, since several servers may run in a process."""

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__(logging.WARNING)
        self._of, self.lines = thread, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._of.ident:
            self.lines.append(self.format(record))
