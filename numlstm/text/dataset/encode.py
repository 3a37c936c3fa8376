"""The passes over the sources of a text: one builds its vocabulary, the other encodes it.

Both read piece by piece.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from ...errors import CorpusError
from ...settings.text import TextSettings
from ..sources.decode import pieces
from ..sources.find import Source
from ..vocab import level as vocab_level
from ..vocab.base import Ids, Vocab

Report = Callable[[str, int, int], None]
"""Progress callback: called with the task, the bytes of the files read so far, and their total (0 if unknown)."""

Part = tuple[str, int, int]  # a source's name, and where its tokens start and end in the ids


class Sink(Protocol):
    """Receives the ids of a text, piece by piece."""

    def write(self, ids: Ids) -> None: ...


@dataclasses.dataclass(frozen=True)
class ReadSummary:
    """What a pass read: the number of symbols (characters or bytes), and their SHA-256 as UTF-8, in hex."""

    symbols: int
    digest: str


@dataclasses.dataclass(frozen=True)
class Encoded:
    """The result of encoding: what was read, the place of each source in the ids, and the tokens dropped or unknown."""

    seen: ReadSummary
    parts: tuple[Part, ...]
    dropped: int
    unknown: int


@dataclasses.dataclass(frozen=True)
class Texts:
    """Sources that are read as one text, their encoding, and the progress callback."""

    sources: Sequence[Source]
    encoding: str
    report: Report | None = None

    def make_vocab(self, level: TextSettings) -> tuple[Vocab, ReadSummary | None]:
        """Return the text's vocabulary, and what the pass read, or None if no pass was needed.

        Raises `CorpusError` if a source cannot be read or decoded, or if there is no text.
        """
        known = vocab_level.known(level)
        if known is not None:
            return known, None
        builder = vocab_level.builder(level)
        watch = self._watch("finding words" if level.level == "word" else "finding symbols")
        for source in self.sources:
            for piece in watch.pieces(source, as_bytes=False):
                builder.feed(piece)
            builder.end()
        self._refuse_nothing(watch.seen())
        return builder.build(), watch.seen()

    def encode(self, vocab: Vocab, sink: Sink, *, drop_unknown: bool, before: ReadSummary | None) -> Encoded:
        """Write the text's ids to `sink`.

        Raises `CorpusError` as `make_vocab` does, and if the text differs from what was read `before`, if none of its
        tokens is known, or, unless `drop_unknown`, for symbols that the vocabulary neither holds nor replaces.
        """
        encoder, watch = vocab.encoder(drop_unknown=drop_unknown), self._watch("encoding")
        parts, size = [], 0
        for source in self.sources:
            start = size
            for piece in watch.pieces(source, as_bytes=vocab.reads_bytes):
                if before is not None and watch.symbols > before.symbols:
                    raise self._changed()
                ids = encoder.feed(piece)
                sink.write(ids)
                size += len(ids)
            ids = encoder.end()
            sink.write(ids)
            size += len(ids)
            parts.append((source.name, start, size))
        seen = watch.seen()
        if before is not None and seen != before:
            raise self._changed()
        self._refuse_nothing(seen)
        encoder.check()
        if size in (0, encoder.unknown):
            raise CorpusError(
                f"{self.names()}: no {vocab.unit} is in the vocabulary; expected a text of the same script or language"
            )
        return Encoded(seen, tuple(parts), encoder.dropped, encoder.unknown)

    def digest(self, *, as_bytes: bool) -> str:
        """Return the SHA-256 of the text, as in `ReadSummary`. Raises `CorpusError` if it cannot be read."""
        watch = self._watch("checking")
        for source in self.sources:
            for _ in watch.pieces(source, as_bytes=as_bytes):
                pass
        return watch.seen().digest

    def names(self) -> str:
        """Return the names of the sources for a message."""
        more = f" and {len(self.sources) - 3} more" if len(self.sources) > 3 else ""
        return ", ".join(repr(source.name) for source in self.sources[:3]) + more

    def _watch(self, task: str) -> _HashingReader:
        sizes = [source.stamp()[0] for source in self.sources] if self.report else []
        total = 0 if None in sizes else sum(size or 0 for size in sizes)
        return _HashingReader(self.encoding, lambda done: self.report and self.report(task, done, total))

    def _refuse_nothing(self, seen: ReadSummary) -> None:
        if not seen.symbols:
            raise CorpusError(f"{self.names()}: the text is empty")

    def _changed(self) -> CorpusError:
        return CorpusError(f"{self.names()}: the text changed while it was read; run again when nothing writes to it")


class _HashingReader:
    """Reads pieces, and counts and hashes their symbols."""

    def __init__(self, encoding: str, report: Callable[[int], Any]) -> None:
        self.encoding, self.report = encoding, report
        self.symbols = self.done = 0
        self.sha = hashlib.sha256()

    def pieces(self, source: Source, *, as_bytes: bool) -> Iterator[Any]:
        for piece in source.chunks(self._read) if as_bytes else pieces(source, self.encoding, self._read):
            self.symbols += len(piece)
            # utf-7 can produce lone surrogates; vocabularies reject them
            self.sha.update(piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass"))
            yield piece

    def seen(self) -> ReadSummary:
        return ReadSummary(self.symbols, self.sha.hexdigest())

    def _read(self, size: int) -> None:
        self.done += size
        self.report(self.done)
