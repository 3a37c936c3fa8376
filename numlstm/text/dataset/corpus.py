"""Load the texts that the user names as ids: the one door between the user's files and training.

A text is read twice if its vocabulary must be built first, otherwise once, and always in pieces. The ids of a small
text go into one array of the smallest dtype, so memory use is that array and a few MB; those of a large text go into a
file (`id_file.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from ...errors import CorpusError
from ...settings.text import TextSettings
from ..sources.catalog import corpus_names
from ..sources.decode import check_encoding
from ..sources.find import Source, resolve
from ..vocab.base import Ids, Vocab
from . import id_file
from .encode import Part, Report, Texts

__all__ = ["Corpus", "corpus_names", "load_corpus"]

IN_MEMORY = "(text)"  # the source name of a text that is not in a file
STORED_BYTES = 64 << 20  # the ids of larger texts are stored in a file


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """A text as ids `(N,)` in the vocabulary's smallest dtype, and its sources.

    `sources` are absolute paths, URLs, corpus names and `-`, one per text read, in order; `parts` gives the start and
    end of each one's tokens. `digest` is the SHA-256 of the whole text as UTF-8, in hex, whatever the vocabulary and
    the encoding of the files; at the byte level it is that of the bytes. `dropped` counts the tokens left out because
    the vocabulary lacks them, `unknown` those replaced by its unknown token.
    """

    ids: Ids
    vocab: Vocab
    sources: tuple[str, ...]
    encoding: str
    digest: str
    dropped: int
    unknown: int
    parts: tuple[Part, ...]


def load_corpus(
    sources: str | Sequence[str | Source],
    *,
    encoding: str = "utf-8",
    level: TextSettings | None = None,
    vocab: Vocab | None = None,
    drop_unknown: bool = False,
    stdin: BinaryIO | None = None,
    report: Report | None = None,
) -> Corpus:
    """Read texts, join them in the given order with nothing between, and encode them.

    A source is the name of a corpus (downloaded if needed), a file, a folder (its `.txt` files at any depth, sorted), a
    glob (sorted), a URL, or `-` for the bytes of `stdin`. A corpus wins over a file of the same name, which `./name`
    reaches. `in_memory` makes a source from a string. Without `vocab`, the text's own vocabulary is built at `level`
    (None: characters). With `vocab`, unknown characters raise `CorpusError` unless `drop_unknown`, and unknown words
    become `<unk>`. At the byte level `encoding` is ignored. `report` is called with the progress. Raises `CorpusError`
    if a source cannot be found, read or decoded, if there is no text, or if it changes while it is read.
    """
    check_encoding(encoding)
    found = resolve([sources] if isinstance(sources, str) else sources, stdin, report)
    texts, level = Texts(found, encoding, report), level or TextSettings()
    if _size(found) > STORED_BYTES:
        ids, vocab, encoded = id_file.load(texts, level, vocab, drop_unknown)
    else:
        texts = Texts([source.held() for source in found], encoding, report)
        vocab, seen = (vocab, None) if vocab else texts.make_vocab(level)
        sink = _Memory(vocab)
        encoded = texts.encode(vocab, sink, drop_unknown=drop_unknown, before=seen)
        ids = sink.ids()
    names = tuple(source.name for source in found)
    digest = encoded.seen.digest
    return Corpus(ids, vocab, names, encoding, digest, encoded.dropped, encoded.unknown, encoded.parts)


def in_memory(text: str) -> Source:
    """Return a source with the given text. Raises `CorpusError` if the text holds lone surrogates."""
    try:
        return Source(IN_MEMORY, text.encode("utf-8"), "utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError(f"the text cannot be encoded: {error.reason} at character {error.start:,}") from None


def _size(found: Sequence[Source]) -> int:
    """Return the total size in bytes; a source of unknown size counts as more than `STORED_BYTES`."""
    return sum(STORED_BYTES + 1 if size is None else size for size, _ in (source.stamp() for source in found))


class _Memory:
    """A sink that writes ids to a growing array."""

    def __init__(self, vocab: Vocab) -> None:
        self._ids: Ids = np.empty(0, vocab.id_dtype)
        self._size = 0

    def write(self, ids: Ids) -> None:
        end = self._size + len(ids)
        if end > len(self._ids):
            self._ids.resize(end + end // 8, refcheck=False)
        self._ids[self._size : end] = ids
        self._size = end

    def ids(self) -> Ids:
        self._ids.resize(self._size, refcheck=False)  # shrinks in place, without a second array
        return self._ids
