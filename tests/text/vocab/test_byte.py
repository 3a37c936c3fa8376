"""Byte tokens, checked against Python's codecs: the round trip is lossless, even for invalid UTF-8."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.errors import CorpusError
from numlstm.settings.text import TextSettings
from numlstm.text.dataset.corpus import load_corpus
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.from_dict import vocab_from_dict

VOCAB = ByteVocab()
texts = st.text(st.characters(exclude_categories=["Cs"]))
EVERY = bytes(range(256)) + "한글 é 👩".encode() + b"\xff\xfe\xed\xa0\x80"


@given(texts)
def test_decode_gives_back_what_was_encoded(text: str) -> None:
    assert VOCAB.decode(VOCAB.encode(text)) == text
    assert VOCAB.encode(text).tobytes() == text.encode()


@given(st.binary())
def test_any_bytes_survive(data: bytes) -> None:
    text = VOCAB.decode(np.frombuffer(data, np.uint8))
    assert text.encode("utf-8", "surrogateescape") == data
    assert VOCAB.encode(text).tobytes() == data


@given(st.binary(), st.lists(st.integers(0, 9)))
def test_pieces_join_to_the_whole(data: bytes, cuts: list[int]) -> None:
    """An incomplete character is held back until the rest of its bytes arrive."""
    ids, decoder, start, parts = np.frombuffer(data, np.uint8), VOCAB.decoder(), 0, []
    for size in [*cuts, len(data)]:
        parts.append(decoder.feed(ids[start : start + size]))
        start += size
    parts.append(decoder.end())
    assert "".join(parts) == data.decode("utf-8", "surrogateescape")


def test_a_character_cut_in_two_is_held_back() -> None:
    decoder = VOCAB.decoder()
    first, second, third = "글".encode()
    assert [decoder.feed([first]), decoder.feed([second]), decoder.feed([third])] == ["", "", "글"]


def test_lone_surrogates_that_escape_no_byte_are_refused() -> None:
    with pytest.raises(CorpusError, match=r"U\+D800, a lone surrogate"):
        VOCAB.encode("a\ud800")


def test_what_encode_returns_may_be_written_to() -> None:
    VOCAB.encode("a")[0] = 1


def test_any_file_is_read_as_it_is(put, chunk_of) -> None:
    chunk_of(7)
    found = load_corpus([put("a.bin", EVERY), put("b.bin", b"\xef\xbb\xbfend\r\n")], level=TextSettings("byte"))
    assert found.ids.tobytes() == EVERY + b"\xef\xbb\xbfend\r\n"
    assert found.ids.dtype == np.uint8
    assert found.digest == hashlib.sha256(EVERY + b"\xef\xbb\xbfend\r\n").hexdigest()
    assert (found.dropped, found.unknown) == (0, 0)
    assert found.vocab == VOCAB


def test_a_known_vocabulary_needs_no_level() -> None:
    assert load_corpus(["-"], stdin=io.BytesIO(EVERY), vocab=VOCAB).ids.tobytes() == EVERY


def test_there_must_be_bytes(put, error_of) -> None:
    assert "the text is empty" in error_of(load_corpus, [put("a", b"")], level=TextSettings("byte"))


def test_dict_form() -> None:
    assert VOCAB.to_dict() == {"level": "byte"}
    assert vocab_from_dict({"level": "byte"}) == VOCAB
    with pytest.raises(CorpusError, match="holds level, symbols; expected level"):
        vocab_from_dict({"level": "byte", "symbols": "a"})


def test_what_is_shown_and_where_texts_start() -> None:
    assert VOCAB.first_symbols(10) == ("any byte", 0)
    assert VOCAB.start_id == 10
    assert len(VOCAB) == 256
