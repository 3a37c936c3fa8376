"""Rules about the text that is written: what must not be in it, and what its lines or words begin with.

A rule is told the text as it comes and says of every token what it would add, whether it may: so it holds for the text
itself, however the vocabulary cuts it. Knows nothing about networks or random numbers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..text.vocab.base import Vocab

_MARKS = 3  # characters that are no letters, at most, between the end of a word and the white space before the next


class Rule(Protocol):
    def permits(self, additions: Sequence[str | None]) -> npt.NDArray[np.bool_]:
        """Say of each text that may come next whether it may; None is for what may not in any case."""

    def take(self, text: str) -> tuple[str, bool]:
        """Take note of the text that came; return what of it belongs to the text, and whether that is at its end."""


class Ban:
    """Keeps a text out of what is written, also across the end of what was there before."""

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
    """Lets each new line, or each new word, begin with the next of some letters, large or small.

    A line begins after a line's end, or with the text if nothing is before it, and none is empty. A word is letters and
    digits, with what combines with them and apostrophes within; between two of them there is no more than a few marks
    and then one white space. The text ends where the line or word of the last letter ends.
    """

    def __init__(self, letters: str, words: bool, before: str) -> None:
        self.letters = [_variants(letter) for letter in "".join(letters.split())]
        self.words, self.reached = words, 0
        self.known: dict[tuple[object, ...], dict[str, bool]] = {}
        # Of a word: True within one, else the number of characters since, and whether white space was among them.
        self.inside, self.gap, self.spaced = False, 0, True
        for char in before[-64:]:
            self._pass(char)
        if not words:
            self.inside = bool(before) and not before.endswith("\n")

    @property
    def missing(self) -> int:
        """How many letters did not come."""
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
        """Whether the line or word of the last letter is at its end before this character."""
        return not self.missing and self.inside and not (self._in_word(char) if self.words else char != "\n")

    def _begins(self, char: str) -> bool:
        return not self.inside and (not self.words or self._in_word(char))

    def _may(self, char: str, rest: str) -> bool:
        if self.inside:
            return True
        if char in self.letters[self.reached]:
            return True
        if "\udc80" <= char <= "\udcff":  # the first bytes of a character, of which the rest may follow
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
    """Return the rules for a text that goes on from `before`.

    Raises `ConfigError` if initials hold no letter, or something else, or no token of the vocabulary begins with one.
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
            raise ConfigError(f"initials hold {shown!r}; expected letters or digits")
        if not letter & firsts and not vocab.reads_bytes:
            raise ConfigError(f"no {vocab.unit} of the vocabulary begins with {shown!r}; choose other initials")


def _variants(letter: str) -> frozenset[str]:
    """Return a letter, large and small."""
    return frozenset(each for each in (letter, letter.upper(), letter.lower()) if len(each) == 1)


def _escaped(text: str) -> str:
    """Return a text's bytes as Python's "surrogateescape" makes them where they are no whole character."""
    return text.encode().decode("ascii", "surrogateescape")
