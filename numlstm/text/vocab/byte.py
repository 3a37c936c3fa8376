"""The vocabulary of the 256 bytes; an id is the byte's value. Any file is a text.

Bytes decode to `str` as UTF-8. Invalid ones become lone surrogates (Python's "surrogateescape"), so that encoding the
text again restores them.
"""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ...errors import CorpusError
from .base import UNITS, Decoder, Encoder, Ids, Vocab


@dataclasses.dataclass(frozen=True)
class ByteVocab(Vocab):
    """All 256 bytes."""

    level = "byte"
    unit = UNITS["byte"]
    reads_bytes = True

    def to_dict(self) -> dict[str, str]:
        return {"level": self.level}

    def __len__(self) -> int:
        return 256

    @property
    def start_id(self) -> int:
        return ord("\n")

    def encoder(self, *, drop_unknown: bool = False) -> Encoder:
        return _ByteEncoder()

    def decoder(self, after: npt.ArrayLike = ()) -> Decoder:
        return _ByteDecoder(self, after)

    def first_symbols(self, most: int) -> tuple[str, int]:
        return "any byte", 0

    def encode(self, text: str, *, drop_unknown: bool = False) -> Ids:
        """Return the UTF-8 bytes `(N,)` of a text; a lone surrogate from U+DC80 to U+DCFF is the byte it escapes.

        Raises `CorpusError` for any other lone surrogate.
        """
        try:
            return np.array(bytearray(text.encode("utf-8", "surrogateescape")), np.uint8)
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"the text holds U+{ord(text[error.start]):04X}, a lone surrogate; expected whole characters"
            ) from error


class _ByteEncoder:
    def __init__(self) -> None:
        self.dropped = self.unknown = 0

    def feed(self, piece: bytes) -> Ids:
        return np.frombuffer(piece, np.uint8)

    def end(self) -> Ids:
        return np.empty(0, np.uint8)

    def check(self) -> None:
        """Do nothing: every byte is known."""


class _ByteDecoder:
    def __init__(self, vocab: ByteVocab, after: npt.ArrayLike) -> None:
        self.vocab = vocab
        self.utf_8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def feed(self, ids: npt.ArrayLike) -> str:
        return self.utf_8.decode(self.vocab.validated_ids(ids).astype(np.uint8).tobytes())

    def end(self) -> str:
        return self.utf_8.decode(b"", final=True)

    def peek(self, ids: Iterable[int] | None = None) -> list[str]:
        state, added = self.utf_8.getstate(), []
        for value in range(256) if ids is None else ids:
            text = self.utf_8.decode(bytes([value]))
            added.append(text + self.utf_8.getstate()[0].decode("ascii", "surrogateescape"))
            self.utf_8.setstate(state)
        return added
