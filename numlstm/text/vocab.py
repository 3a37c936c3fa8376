"""The vocabulary: which symbols there are, and the way from text to token ids and back.

A token is one Unicode code point, its id the symbol's place in `Vocab.symbols`. Both ways go through
UTF-32, in which a text is an array of code points, and one table lookup: there is no loop over
characters. Knows nothing about files, corpora or models.
"""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import CorpusError

Ids = npt.NDArray[np.unsignedinteger[Any]]
Codes = npt.NDArray[np.uint32]

_LISTED = 10


@dataclasses.dataclass(frozen=True)
class Vocab:
    """Hold the distinct `symbols`, one per token, in the order of their ids.

    Raises `CorpusError` if there is no symbol, one occurs twice, or one is a lone surrogate.
    """

    symbols: str
    level: ClassVar[str] = "char"

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
    def from_text(cls, text: str) -> Vocab:
        """Make the vocabulary of a text: its distinct characters, sorted by code point.

        Raises `CorpusError` if the text is empty or holds a lone surrogate.
        """
        return cls("".join(sorted(set(text))))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocab:
        """Make the vocabulary from what `to_dict` gave, read back from JSON.

        Raises `CorpusError` if anything in it is missing, unknown, of another type or out of range.
        """
        if not isinstance(values, Mapping):
            raise CorpusError(f"the vocabulary is a {type(values).__name__}; expected a mapping")
        if values.get("level") != cls.level:
            raise CorpusError(
                f"the vocabulary's level is {values.get('level')!r:.40}; expected {cls.level!r}: "
                "it may need a newer numlstm"
            )
        if set(values) != {"level", "symbols"}:
            names = ", ".join(sorted(map(str, values)))
            raise CorpusError(f"the vocabulary holds {names:.80}; expected level, symbols")
        return cls(values["symbols"])

    def to_dict(self) -> dict[str, str]:
        """Return the vocabulary as a dict that JSON can hold."""
        return {"level": self.level, "symbols": self.symbols}

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def id_dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest unsigned dtype that holds every id."""
        smallest: np.dtype[np.unsignedinteger[Any]] = np.min_scalar_type(len(self) - 1)
        return smallest

    def encode(self, text: str, *, drop_unknown: bool = False) -> Ids:
        """Return the ids `(N,)` of a text of N characters, in `id_dtype`.

        With `drop_unknown` characters outside the vocabulary are left out, and N is what remains;
        otherwise they raise `CorpusError`. Memory while it runs: about 16 bytes per character.
        """
        codes = to_codes(text)
        ids: Ids = self._table[np.minimum(codes, len(self._table) - 1)]
        known = self._codes[ids] == codes  # an unknown one got some id too, but not one that leads back to it
        if not known.all():
            if not drop_unknown:
                raise self.unknown_error(from_codes(np.unique(codes[~known])))
            ids = ids[known]
        return ids

    def decode(self, ids: npt.ArrayLike) -> str:
        """Return the text of ids of any shape, read in C order.

        Raises `CorpusError` if an id is no whole number or outside the vocabulary.
        """
        places = np.asarray(ids).ravel()
        if places.size == 0:
            return ""
        if places.dtype.kind not in "iu":
            raise CorpusError(f"the ids have the dtype {places.dtype}; expected whole numbers")
        low, high = int(places.min()), int(places.max())
        if low < 0 or high >= len(self):
            odd = low if low < 0 else high
            raise CorpusError(f"the id {odd} is outside the vocabulary; expected 0 to {len(self) - 1}")
        return from_codes(self._codes[places])

    def unknown_error(self, symbols: str) -> CorpusError:
        """Return the error that says which characters, each given once, the vocabulary lacks."""
        what = "1 character is" if len(symbols) == 1 else f"{len(symbols)} different characters are"
        return CorpusError(
            f"{what} not among the {len(self)} of the vocabulary: {_listing(symbols)}; "
            "use --drop-unknown to leave out what the model does not know"
        )

    @functools.cached_property
    def _codes(self) -> Codes:
        return to_codes(self.symbols)

    @functools.cached_property
    def _table(self) -> Ids:
        # One entry per code point up to the highest: at most 4 MB, most often a few hundred bytes.
        table = np.zeros(int(self._codes.max()) + 1, self.id_dtype)
        table[self._codes] = np.arange(len(self), dtype=self.id_dtype)
        table.flags.writeable = False
        return table


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
        return f"U+{ord(symbol):04X} (a lone surrogate: no character, but half of one)"
    shown = ascii(symbol) if unicodedata.combining(symbol) else repr(symbol)
    return f"{shown} U+{ord(symbol):04X}"
