"""The vocabulary of words: the most frequent ones of a text, and one unknown token for all others.

`word_splitting.Cutter` splits a text without loss; a text that is already tokenised is split at white space.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...errors import CorpusError
from .base import UNITS, Decoder, Encoder, Ids, Vocab
from .word_splitting import EOS, JOIN, Cutter, Joiner

UNKNOWN = "<unk>"
VOCAB_SIZE = 20_000  # default maximum of tokens
MIN_COUNT = 2  # default minimum of occurrences: a model that never trained on <unk> cannot handle unknown words

_JSON_SIZE = 12_000_000  # characters; a weights file has room for slightly more
_DISTINCT = 2_000_000  # words counted at a time: a few hundred MB
_LONGEST = 2**16  # characters between white space: a text with longer runs is not tokenised

Words = tuple[str, ...]


class _Cutter(Protocol):
    def feed(self, piece: str) -> list[str]: ...

    def end(self) -> list[str]: ...


class _Joiner(Protocol):
    def join(self, tokens: Iterable[str]) -> str: ...

    def peek(self, tokens: Iterable[str]) -> list[str | None]: ...


@dataclasses.dataclass(frozen=True)
class WordVocab(Vocab):
    """The distinct `words` in id order: special tokens, then words, the most frequent first.

    The special tokens are `<unk>`, `<eos>` (line end) and, unless the text is `pretokenised`, `<join>` (no space where
    one is expected). Raises `CorpusError` if they are missing, if a word is empty, occurs twice or holds a lone
    surrogate, or if the words do not fit into a weights file.
    """

    words: Words
    pretokenised: bool = False
    level = "word"
    unit = UNITS["word"]
    unknown_id = 0

    def __post_init__(self) -> None:
        if not isinstance(self.pretokenised, bool):
            raise CorpusError(f"the vocabulary's pretokenised is {self.pretokenised!r:.40}; expected true or false")
        if not isinstance(self.words, (list, tuple)) or not all(isinstance(w, str) and w for w in self.words):
            raise CorpusError(f"the vocabulary's words are {self.words!r:.40}; expected a list of words")
        object.__setattr__(self, "words", tuple(self.words))
        signs = _special_tokens(self.pretokenised)
        if self.words[: len(signs)] != signs:
            raise CorpusError(f"the vocabulary begins with {self.words[:3]!r:.60}; expected {', '.join(signs)}")
        if len(set(self.words)) < len(self.words):
            raise CorpusError("a word occurs twice in the vocabulary; expected each word once")
        if odd := _SURROGATE.search("".join(self.words)):
            raise CorpusError(f"a word holds U+{ord(odd[0]):04X}, a lone surrogate; expected whole characters")
        size = len(json.dumps(self.words))
        if size > _JSON_SIZE:
            raise CorpusError(
                f"the vocabulary of {len(self):,} words has {size:,} characters; expected at most {_JSON_SIZE:,}: "
                "lower `vocab_size` or raise `min_count`"
            )

    def to_dict(self) -> dict[str, object]:
        return {"level": self.level, "words": list(self.words), "pretokenised": self.pretokenised}

    def __len__(self) -> int:
        return len(self.words)

    @property
    def start_id(self) -> int:
        return self.ids.get("\r\n", self.ids[EOS])

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """The id of every word."""
        return {word: place for place, word in enumerate(self.words)}

    def encoder(self, *, drop_unknown: bool = False) -> Encoder:
        return _WordEncoder(self, drop_unknown)

    def decoder(self, after: npt.ArrayLike = ()) -> Decoder:
        return _WordDecoder(self, after)

    def first_symbols(self, most: int) -> tuple[str, int]:
        words = self.words[len(_special_tokens(self.pretokenised)) :]
        count = sum(end <= most for end in itertools.accumulate(len(word) + 1 for word in words[:most]))
        return " ".join(words[:count]), len(words) - count

    def encode_prompt(self, text: str, *, drop_unknown: bool = False) -> Ids:
        """Return the ids of a prompt without its trailing spaces, which are left to the continuation.

        `<unk>` in the prompt, as `decode` writes it, becomes the unknown token.
        """
        text = text.rstrip(" ")
        if UNKNOWN in text and not self.pretokenised:
            word = next(("x" * n for n in range(40, 0, -1) if "x" * n not in self.ids), "x")  # cut as one word
            text = text.replace(UNKNOWN, word)
        return self.encode(text, drop_unknown=drop_unknown)

    def tokens(self, ids: npt.ArrayLike) -> list[str]:
        """Return the words of ids. Raises `CorpusError` as `decode` does."""
        return [self.words[place] for place in self.validated_ids(ids).tolist()]

    def cutter(self) -> _Cutter:
        """Return a cutter, which splits a text into words."""
        return _cutter(self.pretokenised)


class _WordEncoder:
    def __init__(self, vocab: WordVocab, drop: bool) -> None:
        self.vocab, self.drop = vocab, drop
        self.cutter = vocab.cutter()
        self.dropped = self.unknown = 0

    def feed(self, piece: str) -> Ids:
        return self._ids(self.cutter.feed(piece))

    def end(self) -> Ids:
        return self._ids(self.cutter.end())

    def check(self) -> None:
        """Do nothing: unknown words become `<unk>`."""

    def _ids(self, tokens: list[str]) -> Ids:
        known = self.vocab.ids
        ids: Ids = np.array([known.get(token, 0) for token in tokens], self.vocab.id_dtype)
        unknown = len(ids) - int(np.count_nonzero(ids))
        if self.drop and unknown:
            self.dropped += unknown
            return np.compress(ids != 0, ids)
        self.unknown += unknown
        return ids


class _WordDecoder:
    def __init__(self, vocab: WordVocab, after: npt.ArrayLike) -> None:
        self.vocab = vocab
        before = vocab.tokens(after)
        self.joiner: _Joiner = _SpaceJoiner(before) if vocab.pretokenised else Joiner(before)

    def feed(self, ids: npt.ArrayLike) -> str:
        return self.joiner.join(self.vocab.tokens(ids))

    def end(self) -> str:
        return ""

    def peek(self, ids: Iterable[int] | None = None) -> list[str | None]:
        words = self.vocab.words
        return self.joiner.peek(words if ids is None else [words[n] for n in ids])


class WordBuilder:
    """Builds the vocabulary of texts: special tokens, then words by frequency, ties by code point.

    Keeps at most `vocab_size` tokens, and words that occur at least `min_count` times. If both are None, they default
    to 20,000 and 2; if only one is None, it sets no limit. If there are too many distinct words to hold in memory, the
    rarest are forgotten on the way (Misra & Gries 1982): counts are then too low by at most one in two million words.
    """

    def __init__(self, vocab_size: int | None, min_count: int | None, pretokenised: bool) -> None:
        usual = vocab_size is None and min_count is None
        self.size = VOCAB_SIZE if usual else vocab_size
        self.least = MIN_COUNT if usual else min_count or 1
        self.pretokenised = pretokenised
        self.cutter = _cutter(pretokenised)
        self.counts: collections.Counter[str] = collections.Counter()

    def feed(self, piece: str) -> None:
        self.counts.update(self.cutter.feed(piece))
        while len(self.counts) > _DISTINCT:
            self.counts = collections.Counter({word: n - 1 for word, n in self.counts.items() if n > 1})

    def end(self) -> None:
        self.counts.update(self.cutter.end())

    def build(self) -> WordVocab:
        signs = _special_tokens(self.pretokenised)
        found = ((word, count) for word, count in self.counts.items() if count >= self.least and word not in signs)
        ranked = sorted(found, key=lambda entry: (-entry[1], entry[0]))
        if self.least > 1 and self.counts and not ranked:
            raise CorpusError(
                f"no word occurs {self.least} times; expected some that do: lower `min_count` or give more text"
            )
        most = None if self.size is None else max(self.size - len(signs), 0)
        return WordVocab((*signs, *(word for word, _ in ranked[:most])), self.pretokenised)


class _SpaceCutter:
    """Splits texts at white space; each line end is a token."""

    def __init__(self) -> None:
        self.rest = ""

    def feed(self, piece: str) -> list[str]:
        text = self.rest + piece
        tokens = _AT_SPACE.findall(text)
        self.rest = tokens.pop() if tokens and not text[-1].isspace() else ""
        if len(self.rest) > _LONGEST:
            raise CorpusError(
                f"there are {_LONGEST:,} characters without white space, {self.rest[:20]!r} ...; expected words "
                "separated by spaces, because `pretokenised` is set"
            )
        return self._named(tokens)

    def end(self) -> list[str]:
        tokens, self.rest = [self.rest] if self.rest else [], ""
        return tokens

    def _named(self, tokens: list[str]) -> list[str]:
        return [EOS if token == "\n" else token for token in tokens]


class _SpaceJoiner:
    """Joins tokens, with a space between any two on a line."""

    def __init__(self, after: Iterable[str]) -> None:
        self.in_line = False
        self.join(after)

    def join(self, tokens: Iterable[str]) -> str:
        parts = []
        for token in tokens:
            if token == EOS:
                parts.append("\n")
            else:
                parts += [" ", token] if self.in_line else [token]
            self.in_line = token != EOS
        return "".join(parts)

    def peek(self, tokens: Iterable[str]) -> list[str | None]:
        space = " " if self.in_line else ""
        return ["\n" if token == EOS else space + token for token in tokens]


_SURROGATE = re.compile("[\ud800-\udfff]")
_AT_SPACE = re.compile(r"\n|\S+")


def _special_tokens(pretokenised: bool) -> Words:
    return (UNKNOWN, EOS) if pretokenised else (UNKNOWN, EOS, JOIN)


def _cutter(pretokenised: bool) -> _Cutter:
    return _SpaceCutter() if pretokenised else Cutter()
