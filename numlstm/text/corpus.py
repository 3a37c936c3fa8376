"""Turn what the user names as a text into ids: the one door between the user's files and training.

A source is read twice, in pieces. The first pass finds which characters there are and how many, the
second writes ids into one array of the final size and type, so that memory is that array and a few MB.
Knows nothing about batches, networks or the command line.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from ..errors import CorpusError
from .catalog import corpus_names
from .decoding import check_encoding, pieces
from .sources import Source, resolve
from .vocab import Ids, Vocab, from_codes, to_codes

__all__ = ["Corpus", "corpus_names", "load_corpus"]

_CODE_POINTS = 0x110000


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """A text as ids `(N,)` in the vocabulary's smallest dtype, and where it came from.

    `sources` are absolute paths, corpus names and `-`, one per text read, in order. `digest` is the
    SHA-256 of the whole text as UTF-8, in hex: it depends neither on the vocabulary nor on the encoding
    of the files. `dropped` counts the characters left out because the vocabulary lacks them.
    """

    ids: Ids
    vocab: Vocab
    sources: tuple[str, ...]
    encoding: str
    digest: str
    dropped: int


@dataclasses.dataclass(frozen=True)
class _Scan:
    characters: int
    symbols: str
    digest: str


def load_corpus(
    sources: Sequence[str],
    *,
    encoding: str = "utf-8",
    vocab: Vocab | None = None,
    drop_unknown: bool = False,
    stdin: BinaryIO | None = None,
) -> Corpus:
    """Read texts, join them in the order given with nothing between, and encode them.

    A source is the name of a corpus, a file, a folder (its `.txt` files at any depth, sorted), a glob
    (sorted) or `-` for the bytes of `stdin`. A name wins over a file of the same name, which `./name`
    reaches. Without `vocab` the text's own vocabulary is made; with it, unknown characters raise
    `CorpusError` unless `drop_unknown`. Raises `CorpusError` if a source cannot be found, read or decoded,
    if there is no text, or if it changes while it is read.
    """
    check_encoding(encoding)
    found = resolve([sources] if isinstance(sources, str) else sources, stdin)
    scan = _scan(found, encoding)
    if not scan.characters:
        raise CorpusError(f"{_names(found)}: the text is empty (0 characters); expected some text to read")
    if vocab is None:
        vocab = Vocab(scan.symbols)
    unknown = "".join(sorted(set(scan.symbols) - set(vocab.symbols)))
    if unknown and not drop_unknown:
        raise vocab.unknown_error(unknown)
    if len(unknown) == len(scan.symbols):
        raise CorpusError(f"{_names(found)}: no character is in the vocabulary; expected a text of the same script")
    ids = _encode(found, encoding, vocab, scan)
    names = tuple(source.name for source in found)
    return Corpus(ids, vocab, names, encoding, scan.digest, scan.characters - len(ids))


def _texts(found: list[Source], encoding: str) -> Iterator[str]:
    for source in found:
        yield from pieces(source, encoding)


def _scan(found: list[Source], encoding: str) -> _Scan:
    seen = np.zeros(_CODE_POINTS, np.bool_)
    digest, characters = hashlib.sha256(), 0
    for piece in _texts(found, encoding):
        seen[to_codes(piece)] = True
        digest.update(_utf8(piece))
        characters += len(piece)
    return _Scan(characters, from_codes(np.flatnonzero(seen)), digest.hexdigest())


def _encode(found: list[Source], encoding: str, vocab: Vocab, scan: _Scan) -> Ids:
    ids: Ids = np.empty(scan.characters, vocab.id_dtype)
    digest, size, read = hashlib.sha256(), 0, 0
    for piece in _texts(found, encoding):
        digest.update(_utf8(piece))
        read += len(piece)
        if read > scan.characters:
            break
        part = vocab.encode(piece, drop_unknown=True)
        ids[size : size + len(part)] = part
        size += len(part)
    if read != scan.characters or digest.hexdigest() != scan.digest:
        raise CorpusError(f"{_names(found)}: the text changed while it was read; run again when nothing writes to it")
    ids.resize(size, refcheck=False)  # gives back the room of dropped characters, without a second array
    return ids


def _utf8(piece: str) -> bytes:
    return piece.encode("utf-8", "surrogatepass")  # utf-7 can give lone surrogates; `Vocab` refuses them


def _names(found: list[Source]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(repr(source.name) for source in found[:3]) + more
