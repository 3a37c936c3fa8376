"""The vocabulary of characters (Unicode code points); an id is the index of a symbol in `CharVocab.symbols`.

Encoding and decoding go through UTF-32, where a text is an array of code points, and one table lookup, without a loop
over characters.
"""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CorpusError
from .base import UNITS, Decoder, Encoder, Ids, Vocab

Codes = npt.NDArray[np.uint32]

_LISTED = 10
_CODE_POINTS = 0x110000


@dataclasses.dataclass(frozen=True)
class CharVocab(Vocab):
    """The distinct `symbols`, one per token, in id order.

    Raises `CorpusError` if there are no symbols, or if one occurs twice or is a lone surrogate.
    """

    symbols: str
    level = "char"
    unit = UNITS["char"]

    def __post_init__(self) -> None:
        if not isinstance(self.symbols, str) or not self.symbols:
            raise CorpusError(f"the vocabulary's symbols are {self.symbols!r:.40}; expected one or more characters")
        distinct = set(self.symbols)
        if len(distinct) < len(self.symbols):
            raise CorpusError("a symbol occurs twice in the vocabulary; expected each symbol once")
        surrogates = sorted(symbol for symbol in distinct if _is_surrogate(symbol))
        if surrogates:
            raise CorpusError(f"the vocabulary holds {_listing(surrogates)}; expected whole characters")

    @classmethod
    def from_text(cls, text: str) -> CharVocab:
        """Return the vocabulary of a text: its distinct characters, sorted by code point.

        Raises `CorpusError` if the text is empty or holds a lone surrogate.
        """
        return cls("".join(sorted(set(text))))

    def to_dict(self) -> dict[str, str]:
        return {"level": self.level, "symbols": self.symbols}

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def start_id(self) -> int:
        return max(self.symbols.find("\n"), 0)

    def encoder(self, *, drop_unknown: bool = False) -> Encoder:
        return _CharEncoder(self, drop_unknown)

    def decoder(self, after: npt.ArrayLike = ()) -> Decoder:
        return _CharDecoder(self)

    def first_symbols(self, most: int) -> tuple[str, int]:
        return self.symbols[:most], max(0, len(self) - most)

    def split(self, text: str) -> tuple[Ids, str]:
        """Return the ids `(N,)` of the N known characters of a text, and its distinct unknown ones, sorted.

        Takes about 16 bytes of memory per character.
        """
        codes = to_codes(text)
        ids: Ids = self._table[np.minimum(codes, len(self._table) - 1)]
        known = self._codes[ids] == codes  # unknown characters got an id too, but that of another character
        if known.all():
            return ids, ""
        return ids[known], from_codes(np.unique(codes[~known]))

    def unknown_symbols(self, text: str) -> str:
        return self.split(text)[1]

    def decode(self, ids: npt.ArrayLike) -> str:
        return from_codes(self._codes[self.validated_ids(ids)])

    def unknown_error(self, symbols: str) -> CorpusError:
        """Return the error for distinct `symbols` that the vocabulary lacks."""
        what = "1 character" if len(symbols) == 1 else f"{len(symbols)} characters"
        return CorpusError(
            f"the text has {what} that the model does not know: {_listing(symbols)}; use `drop_unknown` to leave "
            f"{'it' if len(symbols) == 1 else 'them'} out"
        )

    @functools.cached_property
    def _codes(self) -> Codes:
        return to_codes(self.symbols)

    @functools.cached_property
    def _table(self) -> Ids:
        # One entry per code point up to the highest: at most 4 MB, usually a few hundred bytes.
        table = np.zeros(int(self._codes.max()) + 1, self.id_dtype)
        table[self._codes] = np.arange(len(self), dtype=self.id_dtype)
        table.flags.writeable = False
        return table


class _CharEncoder:
    def __init__(self, vocab: CharVocab, drop: bool) -> None:
        self.vocab, self.drop = vocab, drop
        self.dropped = self.unknown = 0
        self.missing: set[str] = set()

    def feed(self, piece: str) -> Ids:
        ids, missing = self.vocab.split(piece)
        self.missing.update(missing)
        self.dropped += len(piece) - len(ids)
        return ids

    def end(self) -> Ids:
        return np.empty(0, self.vocab.id_dtype)

    def check(self) -> None:
        if self.missing and not self.drop:
            raise self.vocab.unknown_error("".join(sorted(self.missing)))


class _CharDecoder:
    def __init__(self, vocab: CharVocab) -> None:
        self.feed, self.symbols = vocab.decode, vocab.symbols

    def end(self) -> str:
        return ""

    def peek(self, ids: Iterable[int] | None = None) -> Sequence[str]:
        return self.symbols if ids is None else [self.symbols[n] for n in ids]


class CharBuilder:
    """Builds the vocabulary of texts: their distinct characters, sorted by code point."""

    def __init__(self) -> None:
        self.seen = np.zeros(_CODE_POINTS, np.bool_)

    def feed(self, piece: str) -> None:
        self.seen[to_codes(piece)] = True

    def end(self) -> None:
        """Do nothing: no character spans two texts."""

    def build(self) -> CharVocab:
        return CharVocab(from_codes(np.flatnonzero(self.seen)))


def to_codes(text: str) -> Codes:
    """Return the code points `(N,)` of a text, lone surrogates included; the array is read-only."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def from_codes(codes: npt.NDArray[np.integer[Any]]) -> str:
    """Return the text of the code points `(N,)`, lone surrogates included."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _is_surrogate(symbol: str) -> bool:
    return "\ud800" <= symbol <= "\udfff"


def _listing(symbols: str | list[str]) -> str:
    shown = ", ".join(map(_printable, symbols[:_LISTED]))
    return shown if len(symbols) <= _LISTED else f"{shown} and {len(symbols) - _LISTED} more"


def _printable(symbol: str) -> str:
    if _is_surrogate(symbol):
        return f"U+{ord(symbol):04X} (a lone surrogate, half of a character)"
    shown = ascii(symbol) if unicodedata.combining(symbol) else repr(symbol)
    return f"{shown} U+{ord(symbol):04X}"
