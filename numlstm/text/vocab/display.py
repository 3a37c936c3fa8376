"""Format tokens for display: the text that each one adds, and a readable name for any token."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .base import Decoder, Vocab
from .byte import ByteVocab
from .char import CharVocab
from .word import UNKNOWN, WordVocab
from .word_splitting import EOS, JOIN

_COUNTED = 1 << 20  # ids per pass, to limit memory
_NAMES = {
    " ": "space",
    "\n": "line end",
    "\t": "tab",
    "\r": "carriage return",
    "\r\n": "line end (CR LF)",
    "\u00a0": "no-break space",
    EOS: "line end",
    JOIN: "no space",
    UNKNOWN: "unknown word",
}


def pieces(vocab: Vocab, decoder: Decoder, ids: npt.ArrayLike) -> list[str]:
    """Return the text that each of ids `(N,)` adds to the output of `decoder`; joined, the pieces are the text.

    A piece is empty if its token adds no text yet: a byte inside a character, or `<join>`.
    """
    if isinstance(vocab, CharVocab):
        return list(vocab.decode(ids))
    return [decoder.feed(each) for each in vocab.validated_ids(ids)]


def grouped(parts: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield each displayable text and its number of tokens; a token that adds no text counts with the next."""
    count = 0
    for part in parts:
        count += 1
        if part:
            yield part, count
            count = 0
    if count:
        yield "", count


def label(vocab: Vocab, token: int) -> str:
    """Return a readable name for a token: its text if visible, else its description or code."""
    if isinstance(vocab, WordVocab):
        return name(vocab.words[token])
    if isinstance(vocab, ByteVocab):
        return name(chr(token)) if token < 0x7F else f"byte 0x{token:02X}"
    return name(vocab.decode([token]))


def name(symbol: str) -> str:
    """Return a readable name for a token's text: the text itself if visible, else its description or code."""
    if symbol in _NAMES:
        return _NAMES[symbol]
    if len(symbol) > 1:
        return visible(symbol)
    if symbol.isprintable() and not symbol.isspace() and not unicodedata.combining(symbol):
        return symbol
    return f"U+{ord(symbol):04X}"


def visible(text: str) -> str:
    """Replace characters that are invisible or change the text direction by �, except line ends and tabs.

    Joiners stay too: scripts and emoji need them.
    """
    return text if text.isprintable() else "".join(c if _can_show(c) else "\ufffd" for c in text)


def _can_show(character: str) -> bool:
    if character.isprintable() or character in "\n\t\u200c\u200d":
        return True
    return unicodedata.category(character) in ("Zs", "Co")


def line_ends(vocab: Vocab, ids: npt.NDArray[np.integer[Any]]) -> int:
    """Return the number of line ends in ids `(N,)`."""
    ends, starts = _line_end_ids(vocab), range(0, len(ids), _COUNTED)
    return sum(int(np.isin(ids[at : at + _COUNTED], ends).sum()) for at in starts)


def _line_end_ids(vocab: Vocab) -> list[int]:
    if isinstance(vocab, WordVocab):
        return [vocab.ids[word] for word in (EOS, "\n", "\r\n") if word in vocab.ids]
    if isinstance(vocab, CharVocab):
        return [vocab.symbols.index("\n")] if "\n" in vocab.symbols else []
    return [ord("\n")]
