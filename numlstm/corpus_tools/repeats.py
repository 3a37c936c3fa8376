"""Leave out paragraphs that occurred before; streamed, with a few bytes of memory per paragraph.

A paragraph is the text between empty lines. Short ones may repeat: headings, refrains, "Yes."
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

SHORTEST = 60  # characters; shorter paragraphs may repeat, such as "* * *" and most lines of a dialogue
_LONGEST = 1 << 16  # characters: a text without empty lines is cut there, to limit memory


class Paragraphs:
    """Remembers the paragraphs it has seen, and counts those left out."""

    def __init__(self, *, keep: bool = False) -> None:
        self.keep = keep
        self.left_out = self.characters = 0
        self._seen: set[bytes] = set()

    def without_repeats(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield a text without repeated paragraphs, in pieces, and without empty lines at either end.

        A paragraph seen before, in this text or another, is left out with the empty lines after it. The text ends with
        `\\n`.
        """
        due = 0  # empty lines before the next paragraph
        begun = ended = False
        for paragraph, empty in _paragraphs(pieces):
            if not self.keep and self._is_known(paragraph):
                self.left_out += 1
                self.characters += len(paragraph) + empty
                continue
            if begun and due:
                yield "\n" * due
            yield paragraph
            begun, ended, due = True, paragraph.endswith("\n"), empty
        if begun and not ended:
            yield "\n"

    def _is_known(self, paragraph: str) -> bool:
        words = " ".join(paragraph.split())
        if len(words) < SHORTEST:
            return False
        mark = hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        if mark in self._seen:
            return True
        self._seen.add(mark)
        return False


def _paragraphs(pieces: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield each paragraph of a text with the number of empty lines after it; one that was cut has no line end."""
    lines: list[str] = []
    size = empty = 0
    for line in _lines(pieces):
        if not line.strip():
            empty += 1
            continue
        if lines and (empty or size > _LONGEST):
            yield "".join(lines), empty
            lines, size = [], 0
        lines.append(line)
        size, empty = size + len(line), 0
    if lines:
        yield "".join(lines), empty


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text, each ending with `\\n`; a very long line is yielded in parts."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(rest) > _LONGEST:
            yield rest
            rest = ""
    if rest:
        yield f"{rest}\n"
