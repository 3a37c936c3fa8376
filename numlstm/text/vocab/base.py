"""The interface of every vocabulary: text to token ids and back.

A vocabulary's level says what its tokens are: characters (`char.py`), bytes (`byte.py`) or words (`word.py`).
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
    """Encodes texts, each fed in pieces; the ids do not depend on where a text is cut.

    A piece is `str`, or `bytes` for a vocabulary that reads bytes. `dropped` counts the tokens left out because the
    vocabulary lacks them, `unknown` those replaced by its unknown token.
    """

    dropped: int
    unknown: int

    def feed(self, piece: Any) -> Ids:
        """Return the ids that later pieces cannot change."""

    def end(self) -> Ids:
        """Return the remaining ids of a text; another text may follow."""

    def check(self) -> None:
        """Raise `CorpusError` if a text held symbols outside the vocabulary and they were not to be dropped."""


class Decoder(Protocol):
    """Decodes ids to text, in pieces; joined, the pieces are the whole text."""

    def feed(self, ids: npt.ArrayLike) -> str:
        """Return the text that later ids cannot change."""

    def end(self) -> str:
        """Return the remaining text."""

    def peek(self, ids: Iterable[int] | None = None) -> Sequence[str | None]:
        """Return the text that each token of the vocabulary, or each of `ids`, would add if it came next.

        The bytes of an incomplete character appear as lone surrogates. None marks a token that cannot add text, ever.
        """


class Builder(Protocol):
    """Builds the vocabulary of texts, each fed in pieces."""

    def feed(self, piece: Any) -> None:
        """Read the next piece of a text."""

    def end(self) -> None:
        """End a text; another may follow."""

    def build(self) -> Vocab:
        """Return the vocabulary. Raises `CorpusError` if the texts do not yield a valid one."""


class Vocab(abc.ABC):
    """The tokens of a text, with ids from 0.

    `level` is the kind of token and `unit` the word for one token. If `reads_bytes`, texts are read as raw bytes,
    without decoding. `unknown_id` is the id of the token that replaces those outside the vocabulary, or None.
    """

    level: ClassVar[str]
    unit: ClassVar[str]
    reads_bytes: ClassVar[bool] = False
    unknown_id: ClassVar[int | None] = None

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as a JSON-serialisable dict."""

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
        """The id that stands for "nothing before this": a line end if the vocabulary has one."""

    @abc.abstractmethod
    def encoder(self, *, drop_unknown: bool = False) -> Encoder:
        """Return an encoder. It drops tokens outside the vocabulary if `drop_unknown`."""

    @abc.abstractmethod
    def decoder(self, after: npt.ArrayLike = ()) -> Decoder:
        """Return a decoder for ids that follow the ids `after`."""

    @abc.abstractmethod
    def first_symbols(self, most: int) -> tuple[str, int]:
        """Return the first tokens for display, up to about `most` characters, and the number of tokens left."""

    def encode(self, text: str, *, drop_unknown: bool = False) -> Ids:
        """Return the ids `(N,)` of a text, in `id_dtype`.

        Raises `CorpusError` for symbols outside the vocabulary, unless it has an unknown token or `drop_unknown` is
        set.
        """
        encoder = self.encoder(drop_unknown=drop_unknown)
        ids = np.concatenate([encoder.feed(text), encoder.end()])
        encoder.check()
        return ids

    def unknown_symbols(self, text: str) -> str:
        """Return the distinct symbols of a text that the vocabulary neither holds nor replaces by an unknown token."""
        return ""

    def encode_prompt(self, text: str, *, drop_unknown: bool = False) -> Ids:
        """Return the ids of a prompt. Raises as `encode` does."""
        return self.encode(text, drop_unknown=drop_unknown)

    def decode(self, ids: npt.ArrayLike) -> str:
        """Return the text of ids of any shape, read in C order.

        Raises `CorpusError` if an id is not a whole number or is outside the vocabulary.
        """
        decoder = self.decoder()
        return decoder.feed(ids) + decoder.end()

    def validated_ids(self, ids: npt.ArrayLike) -> npt.NDArray[np.integer[Any]]:
        """Return ids of any shape as an integer array `(N,)`.

        Raises `CorpusError` if an id is not a whole number or is outside the vocabulary.
        """
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
