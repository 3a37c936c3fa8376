"""Decoding bytes to text: byte-order marks, and the errors for bytes that do not decode."""

from __future__ import annotations

import pytest

from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.sources import decode


def text_of(found: Corpus) -> str:
    return found.vocab.decode(found.ids)


@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("size", [1, 1 << 16])
def test_one_byte_order_mark_at_the_start_is_dropped(chunk_of, encoding, size, put):
    chunk_of(size)
    plain = encoding.removesuffix("-sig")
    name = put("a.txt", "\ufeffa\ufeffb".encode(plain))
    assert text_of(load_corpus([name], encoding=encoding)) == "a\ufeffb"
    put("a.txt", "\ufeff\ufeffb".encode(plain))
    assert text_of(load_corpus([name, name], encoding=encoding)) == "\ufeffb\ufeffb"


def test_utf_16_with_its_mark(put):
    name = put("a.txt", "한글".encode("utf-16"))
    assert text_of(load_corpus([name], encoding="utf-16")) == "한글"


@pytest.mark.parametrize("encoding", ["nope", "", "hex", "rot13", "utf-8\0"])
def test_unknown_encoding(encoding, put, error_of):
    message = error_of(load_corpus, [put("a.txt", "a")], encoding=encoding)
    assert "is not a known text encoding" in message
    assert "`encoding`" in message


@pytest.mark.parametrize("size", [1, 2, 3, 1 << 16])
@pytest.mark.parametrize(
    ("data", "byte", "offset"),
    [
        (b"caf\xe9 au lait", "0xE9", 3),
        ("한".encode() * 5 + b"\xff", "0xFF", 15),
        (b"ab\xed\x95", "0xED", 2),
        (b"\xef\xbb\xbfab\xff", "0xFF", 5),
        (b"\xed\xa0\x80", "0xED", 0),
    ],
)
def test_undecodable_byte_is_named_with_its_offset(chunk_of, data, byte, offset, size, put, error_of):
    chunk_of(size)
    message = error_of(load_corpus, [put("a.txt", data)])
    assert f"a.txt' is not in utf-8: the byte {byte} at offset {offset} does not decode; " in message
    assert "`encoding` latin-1" in message


@pytest.mark.parametrize("family", ["utf-16", "utf-32"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_byte_order_mark_of_another_encoding_is_recognised(family, order, put, error_of):
    name = put("a.txt", "\ufeffab".encode(f"{family}-{order}"))
    assert f"byte-order mark of {family}: use `encoding` {family}" in error_of(load_corpus, [name])
    assert text_of(load_corpus([name], encoding=family)) == "ab"


def test_utf_8_mark_is_recognised(put, error_of):
    name = put("a.txt", "\ufeffab")
    assert "byte-order mark of utf-8: use `encoding` utf-8" in error_of(load_corpus, [name], encoding="ascii")


def test_mark_of_the_encoding_itself_is_no_advice(put, error_of):
    name = put("a.txt", b"\xef\xbb\xbfa\xff")
    assert "does not decode; name its encoding" in error_of(load_corpus, [name], encoding="utf-8-sig")


def test_utf_16_without_a_mark_asks_for_the_order(put, error_of):
    name = put("a.txt", "ab".encode("utf-16-le"))
    assert "use `encoding` utf-16-le or utf-16-be" in error_of(load_corpus, [name], encoding="utf-16")


def test_broken_utf_16_with_a_mark_is_not_told_to_have_none(put, error_of):
    name = put("a.txt", "ab".encode("utf-16") + b"a")
    assert "the byte 0x61 at offset 6 does not decode; name its" in error_of(load_corpus, [name], encoding="utf-16")


def test_error_that_names_no_byte(put, error_of):
    assert "is not in undefined: the bytes do not" in error_of(load_corpus, [put("a.txt", "a")], encoding="undefined")


def test_lone_surrogate_that_an_encoding_lets_through(load_bytes, error_of):
    message = error_of(load_bytes, b"+2AA-", encoding="utf-7")
    assert "U+D800 (a lone surrogate" in message


def test_encodings_to_drop_a_mark_from_are_ones_that_pass_it_on():
    for encoding in decode._PASS_MARK_ON:
        assert "\ufeffa".encode(encoding).decode(encoding) == "\ufeffa"
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert "a".encode(encoding).decode(encoding) == "a"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PK\x03\x04", "a zip archive, such as a .docx"),
        (b"%PDF", "a PDF"),
        (b"\x7fELF", "a program"),
        (b"GIF8", "a pic"),
    ],
)
def test_a_file_that_is_no_text_is_called_what_it_is(put, error_of, start, kind):
    message = error_of(load_corpus, [put("text.txt", start + b" and more \xff\xfe\x00\x80" * 20)])
    assert f"it is not text but {kind}" in message
    assert "latin-1" not in message
