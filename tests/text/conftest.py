"""What the tests of texts share: a folder of their own, small chunks, and one-line errors."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from numlstm.errors import CorpusError
from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.sources import find


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test, empty at first."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def put(folder: Path) -> Callable[[str, bytes | str], str]:
    """Write a file of that name in `folder` and return its absolute path."""

    def write(name: str, data: bytes | str) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    return write


@pytest.fixture
def chunk_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make sources read in chunks of that many bytes."""
    return lambda size: monkeypatch.setattr(find, "CHUNK_BYTES", size)


@pytest.fixture
def error_of() -> Callable[..., str]:
    """Call a function that must raise `CorpusError`, and return its one-line message."""

    def call(function: Callable[..., object], *args: object, **options: object) -> str:
        with pytest.raises(CorpusError) as caught:
            function(*args, **options)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return call


@pytest.fixture
def load_bytes() -> Callable[..., Corpus]:
    """Load a corpus from bytes on standard input."""
    return lambda data, **options: load_corpus(["-"], stdin=io.BytesIO(data), **options)
