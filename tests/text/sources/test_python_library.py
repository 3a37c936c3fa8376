"""The corpus `python`, built from the real standard library and from small made-up ones."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from numlstm.errors import CorpusError
from numlstm.text.sources import python_library
from numlstm.text.sources.python_library import python_source


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def put(root: Path, name: str, text: str | bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_this_library_gives_two_megabytes_of_plain_python():
    text = python_source()
    assert 1_900_000 < len(text) <= 2_000_000
    assert 95 <= len(set(text)) <= 97
    assert text.endswith("\n")
    assert "def " in text
    assert python_source() == text


@pytest.mark.parametrize("limit", [1, 1000, 50_000])
def test_limit_holds_and_a_shorter_text_begins_the_longer(limit):
    short = python_source(limit)
    assert 0 < len(short) <= limit
    assert python_source(100_000).startswith(short)


def test_order_is_modules_then_packages_and_public_then_private(library):
    for name in (
        "_pyio.py",
        "asyncio/tasks.py",
        "asyncio/__init__.py",
        "zipapp.py",
        "abc.py",
        "json/decoder.py",
    ):
        put(library, name, f"# {name}\n")
    expected = (
        "abc.py",
        "zipapp.py",
        "_pyio.py",
        "asyncio/__init__.py",
        "asyncio/tasks.py",
        "json/decoder.py",
    )
    assert python_source() == "".join(f"# {name}\n" for name in expected)


@pytest.mark.parametrize(
    "name",
    [
        "not_of_the_library.py",
        "site-packages/abc.py",
        "test/abc.py",
        "idlelib/run.py",
        "lib2to3/main.py",
        "encodings/cp1252.py",
        "pydoc_data/topics.py",
        "html/entities.py",
        "json/test/a.py",
        "json/tests/a.py",
        "json/__pycache__/a.py",
        "json/table.txt",
    ],
)
def test_tests_tables_and_strangers_are_left_out(library, name):
    put(library, "abc.py", "kept\n")
    put(library, name, "left out\n")
    assert python_source() == "kept\n"


@pytest.mark.parametrize("text", ["é\n", "\ta\n", "\fa\n", "\x7f\n", b"\xff\n", ""])
def test_file_with_odd_characters_is_left_out(library, text):
    put(library, "abc.py", "kept\n")
    put(library, "ast.py", text)
    assert python_source() == "kept\n"


def test_newlines_are_the_same_on_every_system(library):
    put(library, "abc.py", "a\r\nb\r\n")
    put(library, "ast.py", "c")
    assert python_source() == "a\nb\nc\n"


def test_limit_cuts_at_a_line(library):
    put(library, "abc.py", "one\ntwo\n")
    put(library, "ast.py", "three\nfour\n")
    assert python_source(19) == "one\ntwo\nthree\nfour\n"
    assert python_source(18) == "one\ntwo\nthree\n"
    assert python_source(8) == "one\ntwo\n"
    assert python_source(2) == "on"


@pytest.mark.parametrize("root", ["", "python.zip"])
def test_library_without_sources_is_an_error(tmp_path, monkeypatch, root):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / root))
    with pytest.raises(CorpusError, match=r"no source code of Python's standard library .* give a text file"):
        python_source()


def test_skipped_packages_are_real_ones():
    assert python_library._SKIPPED_PACKAGES & sys.stdlib_module_names
