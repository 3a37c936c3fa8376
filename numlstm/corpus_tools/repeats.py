"""Leave out of texts the paragraphs that were there before; streamed, with a few bytes of memory for each.

A paragraph is what stands between empty lines. Short ones may repeat: headings, refrains, "Yes." Knows nothing about
files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

SHORTEST = 60  # characters of a paragraph that must not repeat; "* * *" and most lines of a dialogue are shorter
_LONGEST = 1 << 16  # characters: a text without an empty line is cut there, to be no burden


class Paragraphs:
    """Knows the paragraphs that it has seen, and counts those left out."""

    def __init__(self, *, keep: bool = False) -> None:
        self.keep = keep
        self.left_out = self.characters = 0
        self._seen: set[bytes] = set()

    def first_ones(self, pieces: Iterable[str]) -> Iterator[str]:
        """Give a text again, in pieces that end with `\\n`, without empty lines at either end.

        What was seen before, in this text or another, is left out together with the empty lines after it.
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
    """Give the paragraphs of a text and how many empty lines follow; one that was cut has no line end."""
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
    """Give the lines of a text, each ending with `\\n`; a line that is very long is given in parts."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(rest) > _LONGEST:
            yield rest
            rest = ""
    if rest:
        yield f"{rest}\n"
