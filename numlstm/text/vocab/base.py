"""What every vocabulary offers, whatever its tokens are: the way from text to token ids and back.

A vocabulary belongs to a level: its tokens are characters (`char_vocab.py`), bytes (`byte_vocab.py`) or words
(`word_vocab.py`). Knows nothing about files, corpora or models.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import CorpusError

Ids = npt.NDArray[np.unsignedinteger[Any]]

UNITS = {"char": "character", "byte": "byte", "word": "token"}  # what a token of each level is called


class Encoder(Protocol):
    """Turns texts, each in pieces, into ids: how they are cut changes nothing.

    A piece is `str`, or `bytes` for a vocabulary that reads bytes. `dropped` counts the tokens left out because the
    vocabulary lacks them, `unknown` those that became its sign for unknown ones.
    """

    dropped: int
    unknown: int

    def feed(self, piece: Any) -> Ids:
        """Return the ids of what is certain by now."""

    def end(self) -> Ids:
        """Return the ids of the rest of a text; another may follow."""

    def check(self) -> None:
        """Raise `CorpusError` if there were symbols that the vocabulary lacks and that were not to be left out."""


class Decoder(Protocol):
    """Turns ids into text, in pieces: joined, they are the whole text."""

    def feed(self, ids: npt.ArrayLike) -> str:
        """Return the text that is certain by now."""

    def end(self) -> str:
        """Return the rest."""

    def peek(self, ids: Iterable[int] | None = None) -> Sequence[str | None]:
        """Return for each token of the vocabulary, or each of `ids`, what it would add to the text if it came next.

        Of a character's first bytes, those so far, as lone surrogates; None for a token that could add nothing, ever.
        """


class Builder(Protocol):
    """Goes through texts, each in pieces, to make their vocabulary."""

    def feed(self, piece: Any) -> None:
        """Take note of a piece."""

    def end(self) -> None:
        """Take note that a text is at its end; another may follow."""

    def build(self) -> Vocab:
        """Return the vocabulary; raises `CorpusError` if the texts do not make one."""


class Vocab(abc.ABC):
    """The tokens of a text, each with an id from 0.

    `level` says what they are and `unit` what one is called. `reads_bytes` tells whether texts are read as the bytes
    that they are, without decoding. `unknown_id` is the token that stands for all that the vocabulary lacks, if any.
    """

    level: ClassVar[str]
    unit: ClassVar[str]
    reads_bytes: ClassVar[bool] = False
    unknown_id: ClassVar[int | None] = None

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as a dict that JSON can hold."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @property
    def id_dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest unsigned dtype that holds every id."""
        smallest: np.dtype[np.unsignedinteger[Any]] = np.min_scalar_type(len(self) - 1)
        return smallest

    @property
    @abc.abstractmethod
    def start_id(self) -> int:
        """The id that stands for "nothing before this": a line's end where there is one."""

    @abc.abstractmethod
    def encoder(self, *, drop_unknown: bool = False) -> Encoder:
        """Return what turns texts into ids, leaving out tokens outside the vocabulary if told to."""

    @abc.abstractmethod
    def decoder(self, after: npt.ArrayLike = ()) -> Decoder:
        """Return what turns ids into the text that follows the text of the ids `after`."""

    @abc.abstractmethod
    def shown(self, most: int) -> tuple[str, int]:
        """Return the first tokens, up to about `most` characters, for a person to see, and how many more there are."""

    def encode(self, text: str, *, drop_unknown: bool = False) -> Ids:
        """Return the ids `(N,)` of a text, in `id_dtype`.

        Raises `CorpusError` for symbols outside the vocabulary, unless it has a sign for them or `drop_unknown` says
        to leave them out.
        """
        encoder = self.encoder(drop_unknown=drop_unknown)
        ids = np.concatenate([encoder.feed(text), encoder.end()])
        encoder.check()
        return ids

    def lacks(self, text: str) -> str:
        """Return the symbols of a text, each once, that can be neither encoded nor stood for by another."""
        return ""

    def encode_prompt(self, text: str, *, drop_unknown: bool = False) -> Ids:
        """Return the ids of a text that is to be gone on from; raises as `encode` does."""
        return self.encode(text, drop_unknown=drop_unknown)

    def decode(self, ids: npt.ArrayLike) -> str:
        """Return the text of ids of any shape, read in C order.

        Raises `CorpusError` if an id is no whole number or outside the vocabulary.
        """
        decoder = self.decoder()
        return decoder.feed(ids) + decoder.end()

    def checked(self, ids: npt.ArrayLike) -> npt.NDArray[np.integer[Any]]:
        """Return ids of any shape as whole numbers `(N,)`; raises `CorpusError` if they are none or out of range."""
        places = np.asarray(ids).ravel()
        if places.size == 0:
            return np.empty(0, self.id_dtype)
        if places.dtype.kind not in "iu":
            raise CorpusError(f"the ids have the dtype {places.dtype}; expected whole numbers")
        low, high = int(places.min()), int(places.max())
        if low < 0 or high >= len(self):
            odd = low if low < 0 else high
            raise CorpusError(f"the id {odd} is outside the vocabulary; expected 0 to {len(self) - 1}")
        return places
