"""Compute simple features of a text at each character, such as the position in the line or being inside quotes.

Single cells of a network are known to respond to such features (Karpathy, Johnson & Li 2015).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Feature = npt.NDArray[np.float64]

_FEWEST = 8  # minimum changes of a feature in a text for a meaningful correlation
_OPENING, _CLOSING = "([{（「『【", ")]}）」』】"
_VOWELS = frozenset("aeiouyAEIOUY")


def features(text: str) -> dict[str, Feature]:
    """Return the features `(N,)` of a text of N characters by name.

    Positions and depths count from 0; the others are 0 or 1. Features that change fewer than 8 times are omitted.
    """
    found = {name: np.asarray(feature(text), np.float64) for name, feature in _FEATURES.items()}
    return {name: values for name, values in found.items() if np.count_nonzero(np.diff(values)) >= _FEWEST}


def at_ends(text: dict[str, Feature], lengths: npt.ArrayLike) -> dict[str, Feature]:
    """Return the features `(N,)` at the last character of each of N consecutive pieces of a text, given their lengths.

    An empty piece has the features of the character before it.
    """
    ends = np.maximum(np.cumsum(lengths) - 1, 0)
    return {name: values[ends] for name, values in text.items()}


def _each(is_so: Callable[[str], bool]) -> Callable[[str], list[bool]]:
    return lambda text: [is_so(c) for c in text]


def _since(starts: str) -> Callable[[str], list[int]]:
    """Count the characters since the last of `starts`."""

    def count(text: str) -> list[int]:
        found, n = [], 0
        for c in text:
            n = 0 if c in starts else n + 1
            found.append(n)
        return found

    return count


def _word_position(text: str) -> list[int]:
    found, n = [], 0
    for c in text:
        n = n + 1 if c.isalpha() or (n and c in "'’") else 0
        found.append(n)
    return found


def _capital_word(text: str) -> list[bool]:
    found, inside = [], False
    for place, n in enumerate(_word_position(text)):
        inside = text[place].isupper() if n == 1 else inside and n > 0
        found.append(inside)
    return found


def _capitals(text: str) -> list[bool]:
    """True where the line so far has at least two letters, all of them capitals."""
    found, letters, upper = [], 0, True
    for c in text:
        if c == "\n":
            letters, upper = 0, True
        elif c.isalpha():
            letters, upper = letters + 1, upper and c.isupper()
        found.append(upper and letters > 1)
    return found


def _double_quotes(text: str) -> list[bool]:
    found, inside, before = [], False, ""
    for c in text:
        if c in '"“”«»':
            inside = not inside if c == '"' else c in "“«"
        elif c == before == "\n":  # the end of a paragraph closes a quote that was left open
            inside = False
        found.append(inside)
        before = c
    return found


def _single_quotes(text: str) -> list[bool]:
    found, inside = [], False
    for place, c in enumerate(text):
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        if c == "\n" or (inside and c in "'`‘’" and not after.isalnum()):
            inside = False
        elif c in "'`‘" and not inside and not before.isalnum() and not after.isspace():
            inside = True
        found.append(inside)
    return found


def _brackets(text: str) -> list[int]:
    found, depth, before = [], 0, ""
    for c in text:
        if c in _OPENING:
            depth += 1
        elif c in _CLOSING:
            depth = max(depth - 1, 0)
        elif c == before == "\n":
            depth = 0
        found.append(depth)
        before = c
    return found


def _indentation(text: str) -> list[int]:
    found: list[int] = []
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(" \t"))
        found += [min(n + 1, indent) for n in range(len(line))]
    return found


def _after(mark: str) -> Callable[[str], list[bool]]:
    def inside(text: str) -> list[bool]:
        found, seen = [], False
        for c in text:
            seen = c != "\n" and (seen or c == mark)
            found.append(seen)
        return found

    return inside


def _first_word(text: str) -> list[bool]:
    found = np.zeros(len(text), bool)
    for match in re.finditer(r"^[^\S\n]*\S+", text, re.MULTILINE):
        found[match.start() : match.end()] = True
    return [bool(each) for each in found]


def _first_line(text: str) -> list[bool]:
    found, first, empty = [], True, True
    for c in text:
        found.append(first)
        if c == "\n":
            first, empty = empty, True
        else:
            empty = False
    return found


_FEATURES: dict[str, Callable[[str], list[int] | list[bool]]] = {
    "position in the line": _since("\n"),
    "position in the word": _word_position,
    "position in the sentence": _since(".!?。！？"),
    "inside a word": _each(str.isalnum),
    "white space": _each(str.isspace),
    "line end": _each(lambda c: c == "\n"),
    "capital letter": _each(str.isupper),
    "vowel": _each(lambda c: c in _VOWELS),
    "digit": _each(str.isdigit),
    "punctuation": _each(lambda c: not c.isalnum() and not c.isspace()),
    "capitalised word": _capital_word,
    "line in capitals so far": _capitals,
    "inside double quotes": _double_quotes,
    "inside single quotes": _single_quotes,
    "depth of brackets": _brackets,
    "indentation": _indentation,
    "after a # in the line": _after("#"),
    "after a : in the line": _after(":"),
    "first word of the line": _first_word,
    "first line after an empty one": _first_line,
}
