"""Fixtures of the text tests: a working directory, small chunks, and one-line errors."""

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
    """Change to an empty working directory; return its path."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def put(folder: Path) -> Callable[[str, bytes | str], str]:
    """Return a function that writes a file in `folder` and returns its absolute path."""

    def write(name: str, data: bytes | str) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    return write


@pytest.fixture
def chunk_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets the size, in bytes, of the chunks in which sources are read."""
    return lambda size: monkeypatch.setattr(find, "CHUNK_BYTES", size)


@pytest.fixture
def error_of() -> Callable[..., str]:
    """Return a function that calls another, which must raise `CorpusError`, and returns the one-line message."""

    def call(function: Callable[..., object], *args: object, **options: object) -> str:
        with pytest.raises(CorpusError) as caught:
            function(*args, **options)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return call


@pytest.fixture
def load_bytes() -> Callable[..., Corpus]:
    """Return a function that loads a corpus from bytes on standard input."""
    return lambda data, **options: load_corpus(["-"], stdin=io.BytesIO(data), **options)
