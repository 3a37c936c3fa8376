"""Compressed files: read transparently, and refused with a one-line error if damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sys

import pytest

from numlstm.settings.text import TextSettings
from numlstm.text.dataset.corpus import Corpus, load_corpus

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = "".join(random.Random(1).choices("abc é한\n", k=20_000))
MAKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}


@pytest.fixture(params=MAKERS)
def packed(request: pytest.FixtureRequest) -> bytes:
    return MAKERS[request.param](TEXT.encode())


def text_of(found: Corpus) -> str:
    return found.vocab.decode(found.ids)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a"])
def test_files_are_known_by_their_bytes(packed: bytes, name: str, put) -> None:
    assert text_of(load_corpus([put(name, packed)])) == TEXT


def test_an_empty_text_is_an_empty_text(put, error_of) -> None:
    for name, pack in MAKERS.items():
        assert "the text is empty" in error_of(load_corpus, [put(f"empty.txt.{name}", pack(b""))])
        assert "the text is empty" in error_of(load_corpus, [f"empty.txt.{name}"], level=TextSettings("byte"))


def test_several_parts_in_one_file_are_all_read(packed: bytes, put) -> None:
    assert text_of(load_corpus([put("a", packed + packed)])) == TEXT + TEXT


def test_standard_input_and_any_level(packed: bytes) -> None:
    assert text_of(load_corpus(["-"], stdin=io.BytesIO(packed))) == TEXT
    found = load_corpus(["-"], stdin=io.BytesIO(packed), level=TextSettings("byte"))
    assert found.ids.tobytes() == TEXT.encode()


def test_folders_take_compressed_texts_too(packed: bytes, put) -> None:
    for name in ("b.txt.gz", "a.TXT.zst", "c.txt", "d.txt.bz2", "e.txt.xz", "f.gz"):
        put(f"texts/{name}", packed)
    assert len(load_corpus(["texts"]).sources) == 5


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_file_that_ends_early_is_an_error(packed: bytes, cut: float, put, error_of) -> None:
    name = put("a.txt.x", packed[: max(12, int(len(packed) * cut))])
    message = error_of(load_corpus, [name])
    assert "is damaged or cut short (" in message
    assert "get it again" in message


def test_a_damaged_file_is_an_error(packed: bytes, put, error_of) -> None:
    middle = len(packed) // 2
    name = put("a.txt.x", packed[:middle] + bytes(64) + packed[middle + 64 :])
    # Level byte: bzip2 returns a block before it detects the damage, and that block may be invalid UTF-8.
    assert "is damaged or cut short (" in error_of(load_corpus, [name], level=TextSettings("byte"))


def test_text_that_only_looks_compressed_is_text(put) -> None:
    assert text_of(load_corpus([put("a.gz", "BZh91 is no archive")])) == "BZh91 is no archive"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, put, error_of) -> None:
    home = "compression" if sys.version_info >= (3, 14) else "backports"
    monkeypatch.setitem(sys.modules, f"{home}.zstd", None)
    monkeypatch.delattr(sys.modules[home], "zstd", raising=False)
    message = error_of(load_corpus, [put("a.zst", zstd.compress(b"a"))])
    assert "pip install 'numlstm[zstd]'" in message


def test_progress_counts_the_bytes_of_the_file(packed: bytes, put) -> None:
    told: list[tuple[str, int, int]] = []
    load_corpus([put("a.txt", packed), put("b.txt", b"abc")], report=lambda *facts: told.append(facts))
    for task in ("finding symbols", "encoding"):
        done = [done for name, done, _ in told if name == task]
        assert done == sorted(done)
        assert done[-1] == len(packed) + 3
    assert {total for _, _, total in told} == {len(packed) + 3}
