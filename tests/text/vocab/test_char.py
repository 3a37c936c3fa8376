"""The character vocabulary, checked against plain Python: sets, `ord`, `sorted` and `str.index`."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.errors import CorpusError
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.from_dict import vocab_from_dict

texts = st.text(st.characters(exclude_categories=["Cs"]))
some_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
HARD = "a\r\n\0\t 한글 각 e\u0301 \u200d👩\u200d🚀 \ufeff \uffff \U0010ffff"


def symbols_of(count: int) -> str:
    points = (point for point in range(sys.maxunicode) if not 0xD800 <= point <= 0xDFFF)
    return "".join(chr(point) for point, _ in zip(points, range(count), strict=False))


@given(some_text)
def test_decode_gives_back_what_was_encoded(text):
    vocab = CharVocab.from_text(text)
    assert vocab.decode(vocab.encode(text)) == text


@given(some_text)
def test_ids_are_places_in_the_sorted_symbols(text):
    vocab = CharVocab.from_text(text)
    assert list(vocab.symbols) == sorted(set(text), key=ord)
    assert vocab.encode(text).tolist() == [vocab.symbols.index(symbol) for symbol in text]


@given(some_text, texts)
def test_unknown_characters_are_dropped_only_when_told(known, text):
    vocab = CharVocab.from_text(known)
    expected = "".join(symbol for symbol in text if symbol in known)
    assert vocab.decode(vocab.encode(text, drop_unknown=True)) == expected
    if expected != text:
        with pytest.raises(CorpusError):
            vocab.encode(text)


@given(some_text)
def test_dict_form_survives_json(text):
    vocab = CharVocab.from_text(text)
    assert vocab_from_dict(json.loads(json.dumps(vocab.to_dict()))) == vocab


def test_dict_form_is_the_documented_one():
    assert CharVocab.from_text("banana").to_dict() == {"level": "char", "symbols": "abn"}


def test_hard_text_survives():
    vocab = CharVocab.from_text(HARD)
    assert vocab.decode(vocab.encode(HARD)) == HARD
    assert len(vocab) == len(set(HARD))


def test_symbols_in_another_order_keep_their_ids():
    vocab = vocab_from_dict({"level": "char", "symbols": "ba"})
    assert vocab.encode("abb").tolist() == [1, 0, 0]
    assert vocab.decode([1, 0, 0]) == "abb"


@pytest.mark.parametrize(
    ("size", "dtype"),
    [(1, "uint8"), (256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")],
)
def test_dtype_is_the_smallest_at_each_border(size, dtype, error_of):
    vocab = CharVocab(symbols_of(size))
    ids = vocab.encode(vocab.symbols)
    assert len(vocab) == size
    assert vocab.id_dtype == dtype
    assert ids.dtype == dtype
    assert np.array_equal(ids, np.arange(size))
    assert error_of(vocab.encode, "\U0010ffff").startswith("the text has 1 character that")


def test_unknown_characters_are_listed_once_with_code_points(error_of):
    message = error_of(CharVocab.from_text("abc").encode, "zaébz\nz\u0301")
    assert message.startswith("the text has 4 characters that the model does not know: ")
    assert r"'\n' U+000A, 'z' U+007A, 'é' U+00E9, '\u0301' U+0301;" in message
    assert message.count("U+007A") == 1
    assert "`drop_unknown`" in message


def test_long_list_of_unknown_characters_is_capped(error_of):
    message = error_of(CharVocab.from_text("a").encode, "0123456789xyz")
    assert "'9' U+0039 and 3 more" in message
    assert "U+0078" not in message


def test_ten_unknown_characters_are_all_listed(error_of):
    assert "more" not in error_of(CharVocab.from_text("a").encode, "0123456789")


def test_lone_surrogate_is_named_and_can_be_dropped(error_of):
    vocab = CharVocab.from_text("ab")
    assert "U+DCFF (a lone surrogate" in error_of(vocab.encode, "a\udcffb")
    assert vocab.encode("a\udcffb", drop_unknown=True).tolist() == [0, 1]


def test_empty_text_has_no_ids():
    ids = CharVocab.from_text("ab").encode("")
    assert (ids.shape, ids.dtype) == ((0,), np.uint8)
    assert CharVocab.from_text("ab").decode(ids) == ""
    assert CharVocab.from_text("ab").decode([]) == ""


@pytest.mark.parametrize("ids", [[-1], [2], [0, 1, 300], np.array([2], np.uint64)])
def test_ids_outside_the_vocabulary_do_not_decode(ids, error_of):
    assert "expected 0 to 1" in error_of(CharVocab.from_text("ab").decode, ids)


@pytest.mark.parametrize("ids", [[0.0], ["a"], [True]])
def test_ids_of_another_type_do_not_decode(ids, error_of):
    assert "expected whole numbers" in error_of(CharVocab.from_text("ab").decode, ids)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", ">u2"])
def test_ids_of_any_whole_type_and_shape_decode(dtype):
    assert CharVocab.from_text("ab").decode(np.array([[0, 1], [1, 1]], dtype)) == "abbb"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (None, "is a NoneType"),
        ("char", "is a str"),
        ({}, "level is None"),
        ({"level": "line", "symbols": "ab"}, "level is 'line'"),
        ({"level": ["char"], "symbols": "ab"}, "level is ['char']"),
        ({"level": "char"}, "holds level; expected level, symbols"),
        ({"level": "char", "symbols": "ab", "extra": 1}, "holds extra, level, symbols"),
        ({"level": "char", "symbols": ["a", "b"]}, "symbols are ['a', 'b']"),
        ({"level": "char", "symbols": ""}, "symbols are ''"),
        ({"level": "char", "symbols": None}, "symbols are None"),
        ({"level": "char", "symbols": "aba"}, "occurs twice"),
        ({"level": "char", "symbols": "a\ud800"}, "U+D800 (a lone surrogate"),
    ],
)
def test_malformed_dict_is_refused(values, expected, error_of):
    assert expected in error_of(vocab_from_dict, values)


def test_vocabulary_of_nothing_is_refused(error_of):
    assert "expected one or more characters" in error_of(CharVocab.from_text, "")


def test_vocabulary_cannot_be_changed():
    vocab = CharVocab.from_text("ab")
    with pytest.raises(AttributeError):
        vocab.symbols = "abc"
    vocab.encode("a")[0] = 1  # the caller owns the returned array
    assert vocab.encode("ab").tolist() == [0, 1]
