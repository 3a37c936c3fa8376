"""Constraints on generated text: banned texts, and initials of lines or words.

A rule follows the text and, for the text each token would add, decides if it is allowed. It therefore applies to the
text itself, however the vocabulary splits it into tokens.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..text.vocab.base import Vocab

_MARKS = 3  # maximum punctuation characters between the end of a word and the white space after it


class Rule(Protocol):
    def permits(self, additions: Sequence[str | None]) -> npt.NDArray[np.bool_]:
        """Return, for each possible next piece of text, True if it is allowed; None is never allowed."""

    def take(self, text: str) -> tuple[str, bool]:
        """Record the next piece of text; return the part of it to keep, and True if the text ends there."""


class Ban:
    """Keeps the text `banned` out of generated text, even where it would start in the text before."""

    def __init__(self, banned: str, before: str) -> None:
        self.banned, self.reach = banned, len(banned) - 1
        self.tail = ""
        self.take(before)

    def permits(self, additions: Sequence[str | None]) -> npt.NDArray[np.bool_]:
        banned, tail = self.banned, self.tail
        return np.array([text is not None and banned not in tail + text for text in additions], np.bool_)

    def take(self, text: str) -> tuple[str, bool]:
        self.tail = (self.tail + text)[-self.reach :] if self.reach else ""
        return text, False


class Initials:
    """Makes each new line, or each new word, begin with the next of `letters`, in upper or lower case.

    A line begins after a line break, or at the start of the text if there is no text before; no line is empty. A word
    consists of letters, digits, combining marks and inner apostrophes. Words are separated by at most three punctuation
    characters, then one white space. The text ends with the line or word of the last letter.
    """

    def __init__(self, letters: str, words: bool, before: str) -> None:
        self.letters = [_variants(letter) for letter in "".join(letters.split())]
        self.words, self.reached = words, 0
        self.known: dict[tuple[object, ...], dict[str, bool]] = {}
        # inside: in a line or word; gap: characters since the last word; spaced: white space was among them.
        self.inside, self.gap, self.spaced = False, 0, True
        for char in before[-64:]:
            self._pass(char)
        if not words:
            self.inside = bool(before) and not before.endswith("\n")

    @property
    def missing(self) -> int:
        """The number of letters not yet used."""
        return len(self.letters) - self.reached

    def permits(self, additions: Sequence[str | None]) -> npt.NDArray[np.bool_]:
        letter = self.letters[self.reached] if self.missing else None
        known = self.known.setdefault((letter, self._state()), {})
        found = []
        for text in additions:
            if text is not None and text not in known:
                known[text] = self._fits(text)
            found.append(text is not None and known[text])
        return np.array(found, np.bool_)

    def take(self, text: str) -> tuple[str, bool]:
        for n, char in enumerate(text):
            if self._ends(char):
                return text[:n], True
            if self._begins(char):
                self.reached += 1
            self._pass(char)
        return text, False

    def _state(self) -> tuple[bool, int, bool]:
        return self.inside, self.gap, self.spaced

    def _fits(self, text: str) -> bool:
        before, reached = self._state(), self.reached
        try:
            for n, char in enumerate(text):
                if self._ends(char):
                    return True
                if not self._may(char, text[n:]):
                    return False
                self.reached += self._begins(char)
                self._pass(char)
            return True
        finally:
            (self.inside, self.gap, self.spaced), self.reached = before, reached

    def _ends(self, char: str) -> bool:
        """True if `char` ends the line or word of the last letter."""
        return not self.missing and self.inside and not (self._in_word(char) if self.words else char != "\n")

    def _begins(self, char: str) -> bool:
        return not self.inside and (not self.words or self._in_word(char))

    def _may(self, char: str, rest: str) -> bool:
        if self.inside:
            return True
        if char in self.letters[self.reached]:
            return True
        if "\udc80" <= char <= "\udcff":  # the first bytes of a character; the rest may follow
            return any(_escaped(letter).startswith(rest) for letter in self.letters[self.reached])
        if not self.words or self.spaced or self._in_word(char):
            return False
        return char.isspace() or self.gap < _MARKS

    def _pass(self, char: str) -> None:
        if not self.words:
            self.inside = char != "\n"
            return
        if self._in_word(char):
            self.inside, self.gap, self.spaced = True, 0, False
        else:
            self.gap, self.spaced = min(self.gap + 1, _MARKS), char.isspace() or (self.spaced and not self.inside)
            self.inside = False

    def _in_word(self, char: str) -> bool:
        return char.isalnum() or unicodedata.category(char)[0] == "M" or (self.inside and char in "'’")


def rules(vocab: Vocab, before: str, ban: Sequence[str], initials: str, initials_of: str) -> list[Rule]:
    """Return the rules for a continuation of `before`.

    Raises `ConfigError` if `initials` is blank or has characters other than letters and digits, or if no token of the
    vocabulary begins with one of them.
    """
    found: list[Rule] = [Ban(text, before) for text in ban]
    if initials:
        if initials.isspace():
            raise ConfigError(f"initials are {initials!r}; expected letters or digits")
        rule = Initials(initials, initials_of == "word", before)
        _check(rule, vocab)
        found.append(rule)
    return found


def _check(rule: Initials, vocab: Vocab) -> None:
    firsts = {text.lstrip(" ")[:1] for text in vocab.decoder().peek() if text}
    for letter in rule.letters:
        shown = min(letter)
        if not shown.isalnum():
            raise ConfigError(f"initials contain {shown!r}; expected letters or digits")
        if not letter & firsts and not vocab.reads_bytes:
            raise ConfigError(f"no {vocab.unit} of the vocabulary begins with {shown!r}; choose other initials")


def _variants(letter: str) -> frozenset[str]:
    """Return a letter in upper and lower case."""
    return frozenset(each for each in (letter, letter.upper(), letter.lower()) if len(each) == 1)


def _escaped(text: str) -> str:
    """Return each non-ASCII byte of a text's UTF-8 as a lone surrogate (Python's "surrogateescape")."""
    return text.encode().decode("ascii", "surrogateescape")
