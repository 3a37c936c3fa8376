"""A server to talk to: as a process of its own, as its users have it, or in the test's own process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from numlstm.cli import app
from numlstm.serve.app import create_app
from numlstm.serve.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have another HTTP client
    from starlette.testclient import TestClient

TEXT = "The bridge was seven steps away, and nobody minded.\nThe baker was late again, and said so!\n" * 40


class Process:
    """A server in a process of its own, which is ended with the test."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.folder, self.said = folder, ""
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "numlstm", "serve", "--port", "0", "--models", str(folder),
             "--device", "reference", *options],
            env={**os.environ, "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", **variables},
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )  # fmt: skip
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._started.wait(60), self.said
        found = re.search(r"serving at http://127\.0\.0\.1:(\d+)", self.said)
        assert found, self.said
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
        """Send a signal; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number) if os.name == "posix" else self.process.terminate()
        code = self.process.wait(20)
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.npz`, a model of characters that was trained for a second."""
    folder = tmp_path_factory.mktemp("trained")
    text = folder / "steps.txt"
    text.write_text(TEXT, encoding="utf-8", newline="")
    given = ["--layers", "16", "--steps", "30", "--batch-size", "4", "--seq-len", "16", "--sample-length", "0"]
    done = CliRunner().invoke(
        app, ["train", str(text), *given, "--device", "reference", "-o", str(folder / "models" / "tiny.npz")]
    )
    assert done.exit_code == 0, done.output
    return folder / "models"


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    """A folder of models of the test's own, with that one in it."""
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture(scope="session")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server that many tests share: a process of its own, without a key."""
    running = Process(Path(shutil.copytree(trained, tmp_path_factory.mktemp("server") / "models")))
    try:
        yield running
    finally:
        code = running.end()
    assert "Traceback" not in running.said
    assert code == 0 or os.name != "posix"


@pytest.fixture
def serve(models: Path) -> Iterator[Callable[..., Process]]:
    """Start a server with options of the test's own."""
    with contextlib.ExitStack() as stack:

        def start(*options: str, folder: Path = models, **variables: str) -> Process:
            running = Process(folder, *options, **variables)
            stack.callback(running.end)
            return running

        yield start


def entered(models: Path, options: Any = (), **settings: Any) -> TestClient:
    """A client of an application in this process, which begins when it is entered."""
    given = Settings(**{"models": models, "device": "reference", **settings})
    return TestClient(create_app(given, options), "http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def shared(trained: Path) -> Iterator[TestClient]:
    """A client of an application that tests share which change nothing."""
    with entered(trained) as client:
        yield client


@pytest.fixture(scope="session")
def locked(trained: Path) -> Iterator[TestClient]:
    """A client of another one, which has a key."""
    with entered(trained, api_key="the-right-one") as client:
        yield client


@pytest.fixture
def inside(models: Path) -> Iterator[Callable[..., TestClient]]:
    """Make a client of an application in this process, with settings of the test's own."""
    with contextlib.ExitStack() as stack:

        def start(options: Any = (), **settings: Any) -> TestClient:
            return stack.enter_context(entered(**{"models": models, "options": options, **settings}))

        yield start


@pytest.fixture
def client(inside: Callable[..., TestClient]) -> TestClient:
    """A client of an application in this process, as it is if nothing else is said."""
    return inside()
