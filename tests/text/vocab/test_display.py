"""How tokens are displayed to a person."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.text.vocab import display
from numlstm.text.vocab.base import Vocab
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.word import WordBuilder, WordVocab

PROSE = 'The cat said, "no." (It\'s late!)\n\nA cat--old\tcat.\r\n' * 3


def words(text: str) -> WordVocab:
    builder = WordBuilder(None, 1, False)
    builder.feed(text)
    builder.end()
    return builder.build()


@pytest.mark.parametrize("vocab", [CharVocab.from_text(PROSE), ByteVocab(), words(PROSE)], ids=lambda v: v.level)
def test_pieces_are_the_text_however_it_is_cut(vocab: Vocab) -> None:
    ids, decoder = vocab.encode(PROSE), vocab.decoder()
    pieces = [display.pieces(vocab, decoder, part) for part in np.array_split(ids, 5)]
    assert [len(each) for each in pieces] == [len(part) for part in np.array_split(ids, 5)]
    assert "".join(piece for each in pieces for piece in each) == PROSE
    assert display.line_ends(vocab, ids) == PROSE.count("\n")


def test_a_byte_amid_a_character_has_no_piece() -> None:
    vocab = ByteVocab()
    pieces = display.pieces(vocab, vocab.decoder(), vocab.encode("a한b"))
    assert pieces == ["a", "", "", "한", "b"]
    assert list(display.grouped(pieces)) == [("a", 1), ("한", 3), ("b", 1)]
    assert list(display.grouped(["a", "", ""])) == [("a", 1), ("", 2)]


@pytest.mark.parametrize(
    ("vocab", "token", "expected"),
    [
        (CharVocab("\n aé́\u202e"), 0, "line end"),
        (CharVocab("\n aé́\u202e"), 1, "space"),
        (CharVocab("\n aé́\u202e"), 3, "é"),
        (CharVocab("\n aé́\u202e"), 4, "U+0301"),
        (CharVocab("\n aé́\u202e"), 5, "U+202E"),
        (ByteVocab(), 65, "A"),
        (ByteVocab(), 9, "tab"),
        (ByteVocab(), 1, "U+0001"),
        (ByteVocab(), 0xC3, "byte 0xC3"),
        (words("ab ab"), 0, "unknown word"),
        (words("ab ab"), 1, "line end"),
        (words("ab ab"), 2, "no space"),
        (words("ab ab"), 3, "ab"),
    ],
)
def test_names(vocab: Vocab, token: int, expected: str) -> None:
    assert display.label(vocab, token) == expected


def test_what_cannot_be_seen_has_a_sign() -> None:
    assert display.visible("aé한\n\t\u200d👩") == "aé한\n\t\u200d👩"
    assert display.visible("\x00\x1b\u202e\ud800\ufffe\ufeff") == "\ufffd" * 6


def test_a_text_without_line_ends() -> None:
    vocab = CharVocab("ab")
    assert display.line_ends(vocab, vocab.encode("abab")) == 0
