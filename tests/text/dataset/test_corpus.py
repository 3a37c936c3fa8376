"""Whole corpora: exact text, vocabulary, digest, the two passes and memory, checked against `bytes.decode`."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.dataset.encode import Texts
from numlstm.text.vocab.char import CharVocab

MIXED = "a\r\nb\rc\n\0 é 한글 👩\u200d🚀 e\u0301 \ufeff end"
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def text_of(found: Corpus) -> str:
    return found.vocab.decode(found.ids)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1 << 16])
def test_text_is_exact_whatever_the_chunks(chunk_of, size, put):
    chunk_of(size)
    found = load_corpus([put("a.txt", MIXED)])
    assert text_of(found) == MIXED
    assert found.vocab.symbols == "".join(sorted(set(MIXED)))
    assert found.ids.dtype == np.uint8
    assert found.dropped == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts, st.integers(1, 9), st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32-be", "gb18030"]))
def test_any_text_in_any_encoding_survives(chunk_of, load_bytes, text, size, encoding):
    chunk_of(size)
    found = load_bytes(("." + text).encode(encoding), encoding=encoding)
    assert text_of(found) == "." + text
    assert found.digest == hashlib.sha256(("." + text).encode()).hexdigest()


def test_ids_take_the_smallest_type(put):
    many = "".join(chr(0xAC00 + place) for place in range(300))
    found = load_corpus([put("a.txt", many)])
    assert found.ids.dtype == np.uint16
    assert text_of(found) == many


def test_several_sources_are_joined_in_order_with_nothing_between(put):
    b, a = put("b.txt", "b"), put("a.txt", "a\r\n")
    found = load_corpus([b, "-", a, b], stdin=io.BytesIO(b"in"))
    assert text_of(found) == "bina\r\nb"
    assert found.sources == (b, "-", a, b)


def test_empty_file_among_others_adds_nothing(put):
    found = load_corpus([put("a.txt", ""), put("b.txt", "b")])
    assert text_of(found) == "b"


def test_digest_is_that_of_the_text_and_of_nothing_else(folder, put):
    expected = hashlib.sha256(MIXED.encode()).hexdigest()
    whole = load_corpus([put("a.txt", MIXED)])
    parts = load_corpus([put("b.txt", MIXED[:5]), put("c.txt", MIXED[5:])])
    other = load_corpus([put("d.txt", MIXED.encode("utf-16"))], encoding="utf-16")
    fewer = load_corpus([str(folder / "a.txt")], vocab=CharVocab("a"), drop_unknown=True)
    assert {whole.digest, parts.digest, other.digest, fewer.digest} == {expected}


def test_digest_differs_with_one_character(load_bytes):
    assert load_bytes(b"abcd").digest != load_bytes(b"abce").digest


def test_given_vocabulary_keeps_its_ids(load_bytes):
    found = load_bytes(b"ba", vocab=CharVocab("xyab"))
    assert found.ids.tolist() == [3, 2]
    assert found.vocab == CharVocab("xyab")


def test_unknown_characters_are_an_error_over_the_whole_text(chunk_of, load_bytes, error_of):
    chunk_of(1)
    message = error_of(load_bytes, b"azaayz", vocab=CharVocab("ab"))
    assert message.startswith("the text has 2 characters that the model does not know")
    assert "'y' U+0079, 'z' U+007A; use `drop_unknown`" in message


@pytest.mark.parametrize("size", [1, 4, 1 << 16])
def test_dropped_characters_are_counted(chunk_of, size, load_bytes):
    chunk_of(size)
    found = load_bytes(b"azbzza", vocab=CharVocab("ab"), drop_unknown=True)
    assert text_of(found) == "aba"
    assert found.dropped == 3


def test_text_with_nothing_known_is_an_error(load_bytes, error_of):
    message = error_of(load_bytes, b"zzz", vocab=CharVocab("ab"), drop_unknown=True)
    assert "no character is in the vocabulary" in message


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_empty_text(data, put, error_of):
    message = error_of(load_corpus, [put("a.txt", data)])
    assert "a.txt': the text is empty" in message


def test_long_lists_of_files_are_shortened(put, error_of):
    names = [put(f"{place}.txt", "") for place in range(5)]
    assert "2.txt' and 2 more: the text is empty" in error_of(load_corpus, names)


@pytest.mark.parametrize("after", ["abcX", "abcde", "abcdabcd", "abc", "", "ab\xe9d"])
def test_file_that_changes_between_the_passes(monkeypatch, after, put, error_of):
    name = put("a.txt", "abcd")
    make_vocab = Texts.make_vocab

    def make_then_change(*args):
        result = make_vocab(*args)
        put("a.txt", after)
        return result

    monkeypatch.setattr(Texts, "make_vocab", make_then_change)
    assert "a.txt': the text changed while it was read; run again" in error_of(load_corpus, [name])


def test_file_that_vanishes_between_the_passes(monkeypatch, put, error_of):
    name = put("a.txt", "abcd")
    make_vocab = Texts.make_vocab

    def make_then_remove(*args):
        result = make_vocab(*args)
        os.remove(name)
        return result

    monkeypatch.setattr(Texts, "make_vocab", make_then_remove)
    assert f"{name!r} cannot be read (" in error_of(load_corpus, [name])


def peak_bytes_per_character(name: str, characters: int) -> float:
    tracemalloc.start()
    try:
        found = load_corpus([name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.ids) == characters
    return peak / characters


@pytest.mark.parametrize("line", ["The quick brown fox.\n", "한글과 é 👩\n"])
def test_memory_is_the_ids_and_little_else(line, put):
    count = 8_000_000 // len(line)
    name = put("big.txt", line * count)
    assert peak_bytes_per_character(name, count * len(line)) < 1.5


def test_array_holds_no_room_for_dropped_characters(load_bytes):
    found = load_bytes(b"az" * 100_000, vocab=CharVocab("a"), drop_unknown=True)
    assert found.ids.base is None
    assert found.ids.nbytes == 100_000
