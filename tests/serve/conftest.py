"""Fixtures: a trained model, and servers and in-process applications that serve it."""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from numlstm.cli import app
from numlstm.serve.app import create_app
from numlstm.serve.server_settings import Settings
from tests.serve.servers import ServerProcess, ServerThread

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette warns about its HTTP client
    from starlette.testclient import TestClient

TEXT = "The bridge was seven steps away, and nobody minded.\nThe baker was late again, and said so!\n" * 40


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `tiny.npz`, a character model trained for a second."""
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
    """Return a copy of `trained` that this test may change."""
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture(scope="session")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    """Yield a server without an API key, shared by many tests."""
    running = ServerThread(Path(shutil.copytree(trained, tmp_path_factory.mktemp("server") / "models")))
    yield running
    running.end()


@pytest.fixture
def serve(models: Path) -> Iterator[Callable[..., ServerThread]]:
    """Yield a function that starts a server in a thread, with the given settings."""
    with contextlib.ExitStack() as stack:

        def start(folder: Path = models, **settings: Any) -> ServerThread:
            running = ServerThread(folder, **settings)
            stack.callback(running.end)
            return running

        yield start


@pytest.fixture
def serve_process(models: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Yield a function that starts a server in a subprocess, with the given options."""
    with contextlib.ExitStack() as stack:

        def start(*options: str, folder: Path = models, **more: Any) -> ServerProcess:
            running = ServerProcess(folder, *options, **more)
            stack.callback(running.end)
            return running

        yield start


def entered(models: Path, **settings: Any) -> TestClient:
    """Return a test client of an in-process application; entering the client starts the application."""
    given = Settings(**{"models": models, "device": "reference", **settings})
    return TestClient(create_app(given), "http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def shared(trained: Path) -> Iterator[TestClient]:
    """Yield a client of an application shared by tests that change nothing."""
    with entered(trained) as client:
        yield client


@pytest.fixture(scope="session")
def locked(trained: Path) -> Iterator[TestClient]:
    """Yield a client of a shared application with an API key."""
    with entered(trained, api_key="the-right-one") as client:
        yield client


@pytest.fixture
def inside(models: Path) -> Iterator[Callable[..., TestClient]]:
    """Yield a function that returns a client of an in-process application, with the given settings."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> TestClient:
            return stack.enter_context(entered(**{"models": models, **settings}))

        yield start


@pytest.fixture
def client(inside: Callable[..., TestClient]) -> TestClient:
    """Return a client of an in-process application with default settings."""
    return inside()
