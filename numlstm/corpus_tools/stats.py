"""Compute statistics of a text: its characters, its repetitions, its faults, and a network that would suit it.

The text is streamed; only the part searched for repetitions, up to `SEARCHED` characters, is in memory.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import CorpusError
from ..monitoring import advice
from ..text.sources.find import Source
from ..text.vocab.char import to_codes
from .passages import Passage, repeated_passages
from .reading import Read, find_encoding
from .suggest import Suggestion, suggest

SEARCHED = 4_000_000  # characters, from the start, searched for repetitions
RARE = 10  # a character that occurs less often can hardly be learned
MOSTLY_REPEATED = 0.5

Report = Callable[[str, int, int], None]

# UTF-8 that was decoded as cp1252 or Latin-1: "Ã©" for "é", "â€™" for "’".
_MISREAD = re.compile("Ã[\u0080-\u00bf]|â€[\u0098-\u009d™œ\u0153\u201c\u201d\u2122]|Â[\u00a0-\u00bf]")


@dataclasses.dataclass(frozen=True)
class Character:
    """A character and how often it occurs."""

    symbol: str
    count: int

    @property
    def code(self) -> str:
        return f"U+{ord(self.symbol):04X}"

    @property
    def name(self) -> str:
        return unicodedata.name(self.symbol, "") or ("control character" if ord(self.symbol) < 0xA0 else "no name")


@dataclasses.dataclass(frozen=True)
class Stats:
    """The statistics of a text. `rare` is sorted, rarest first; `repeated_share` is a share of `searched`, 0 to 1."""

    sources: tuple[tuple[str, str], ...]  # name and encoding
    characters: int
    size: int  # bytes as UTF-8
    lines: int
    longest_line: int
    distinct: int
    rare: tuple[Character, ...]
    searched: int
    repeated_share: float
    passages: tuple[Passage, ...]
    suggestion: Suggestion
    warnings: tuple[str, ...]


def stats(sources: Sequence[Source], encoding: str | None = None, report: Report | None = None) -> Stats:
    """Return the statistics of texts read as one; with `encoding` None, the encoding of each is detected.

    Raises `CorpusError` if a source cannot be read or there is no text.
    """
    counter = _Counter()
    found = []
    for number, source in enumerate(sources):
        read = find_encoding(source, encoding, _progress_callback(report, "reading", number, len(sources)))
        found.append(read)
        for piece in read.pieces():
            counter.feed(piece)
    if not counter.characters:
        names = ", ".join(repr(source.name) for source in sources[:3])
        raise CorpusError(f"{names}: the text is empty")
    if report:
        report("looking for repeated passages", 0, 0)
    passages, share = repeated_passages(counter.searched())
    counted = counter.counted()
    suggestion = suggest(counter.characters, len(counted))
    return Stats(
        sources=tuple((read.source.name, read.encoding) for read in found),
        characters=counter.characters,
        size=counter.size,
        lines=counter.lines + (counter.line > 0),
        longest_line=max(counter.longest_line, counter.line),
        distinct=len(counted),
        rare=tuple(sorted((each for each in counted if each.count < RARE), key=lambda each: (each.count, each.symbol))),
        searched=min(counter.characters, SEARCHED),
        repeated_share=share,
        passages=tuple(passages),
        suggestion=suggestion,
        warnings=tuple(_warnings(found, counter, share)),
    )


def _progress_callback(report: Report | None, task: str, number: int, of: int) -> Callable[[int], None] | None:
    if report is None:
        return None
    done = 0

    def tell(size: int) -> None:
        nonlocal done
        done += size
        report(f"{task} ({number + 1} of {of})" if of > 1 else task, done, 0)

    return tell


class _Counter:
    """Counts the characters and lines of a text, piece by piece."""

    def __init__(self) -> None:
        self.characters = self.size = self.lines = self.longest_line = self.line = 0
        self.misread = 0
        self.counts: Any = np.zeros(0x110000, np.int64)
        self.kept: list[str] = []
        self.kept_size = 0

    def feed(self, piece: str) -> None:
        codes = to_codes(piece)
        some = np.bincount(codes)
        self.counts[: len(some)] += some
        self.characters += len(piece)
        self.size += len(piece.encode("utf-8", "surrogatepass"))
        self.misread += len(_MISREAD.findall(piece))
        self._count_lines(piece)
        if self.kept_size < SEARCHED:
            self.kept.append(piece[: SEARCHED - self.kept_size])
            self.kept_size += len(self.kept[-1])

    def _count_lines(self, piece: str) -> None:
        first, *more = piece.split("\n")
        self.line += len(first)
        if more:
            self.lines += len(more)
            self.longest_line = max(self.longest_line, self.line, *map(len, more[:-1]), 0)
            self.line = len(more[-1])

    def searched(self) -> str:
        return "".join(self.kept)

    def counted(self) -> list[Character]:
        return [Character(chr(code), int(self.counts[code])) for code in np.flatnonzero(self.counts).tolist()]


def _warnings(found: Sequence[Read], counter: _Counter, share: float) -> list[str]:
    warnings = []
    if counter.characters < advice.SMALL_TEXT:
        warnings.append(
            f"the text is very small: learning words takes at least {advice.SMALL_TEXT:,} characters, and 100,000 are "
            "a good start; gather more"
        )
    encodings = sorted({"utf-8" if read.encoding == "ascii" else read.encoding for read in found})
    guessed = [read for read in found if read.guessed]
    if len(encodings) > 1:
        warnings.append(f"the files are in several encodings: {', '.join(encodings)}; make them all UTF-8")
    if guessed:
        more = f" and {len(guessed) - 1} more" if len(guessed) > 1 else ""
        name, guess = guessed[0].source.name, guessed[0].encoding
        warnings.append(f"{name!r}{more} is not in UTF-8, perhaps in {guess} (Windows): train needs --encoding {guess}")
    if counter.misread:
        warnings.append(
            f"{counter.misread:,} places look like UTF-8 that was decoded as another encoding, such as Ã© for é; get "
            "the text again"
        )
    if counter.counts[0xFFFD]:
        warnings.append(f"{counter.counts[0xFFFD]:,} characters were already lost (U+FFFD); get the text again")
    if share > MOSTLY_REPEATED:
        warnings.append(
            f"{100 * share:.0f} % of the text repeats earlier passages: a model would memorise them; numlstm corpus "
            "combine leaves repeated paragraphs out"
        )
    return warnings
