"""Streams of text: the request for a text, and the pieces of it that a client reads.

All text written since the last read is one buffered piece, so a slow client delays nothing but its own text.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from ...generation.sequence import Text
from ...generation.token_probabilities import Chance
from ...settings.sampling import SamplingSettings
from ..http.refusal import Refusal

_NO_TEXT = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class TextRequest:
    """A text to write.

    `number` is its index among the texts of one seed. `logprobs` is the number of likeliest tokens to report with each
    token (None: report no tokens). With `echo` the text and its tokens begin with the prompt's.
    """

    prompt: str
    config: SamplingSettings
    number: int = 0
    drop_unknown: bool = False
    logprobs: int | None = None
    echo: bool = False


class Token(NamedTuple):
    """A token's text, its log-probability in nats under the model, the likeliest tokens at its place, and its offset.

    The offset is in characters of the stream's text, including an echoed prompt. The first token of an echoed prompt
    follows nothing: it has no log-probability and no likeliest tokens.
    """

    text: str
    logprob: float | None
    top: list[tuple[str, float]]
    offset: int


class Piece(NamedTuple):
    """New text and tokens. `finish` is "" except in the last piece: why the text ended, "stop" or "length"."""

    text: str
    tokens: list[Token]
    finish: str


class Usage(NamedTuple):
    """Number of tokens in the prompt, and in the text so far."""

    prompt_tokens: int
    completion_tokens: int


class Stream(AsyncIterator[Piece]):
    """Async iterator over the pieces of one text. It can be iterated once.

    Iterating raises `Refusal` if the text failed. `cancel` ends the text before its next token; then there is no last
    piece.
    """

    def __init__(self, text: Text, wanted: TextRequest, cancel: Callable[[], None]) -> None:
        self._text, self.cancel = text, cancel
        self._lock, self._news = threading.Lock(), asyncio.Event()
        self._said, self._tokens, self._finish = _sendable(text.shown) if wanted.echo else "", list[Token](), ""
        self._size = len(self._said)  # characters so far, including those already read
        self._telling = None if wanted.logprobs is None else _TokenReporter(text, wanted.echo)
        self._refusal: Refusal | None = None
        self._written, self._ended, self._over = 0, False, False
        self.deadline = float("inf")  # in seconds of time.monotonic

    @property
    def usage(self) -> Usage:
        """The token counts so far; at the end, those of the text as it was cut at a stop."""
        return Usage(len(self._text.prompt_ids), self._written)

    def take(self, piece: str) -> int:
        """Append new text, on the engine's thread. Return the number of new tokens."""
        before = self._written
        with self._lock:
            self._said += _sendable(piece)
            self._size += len(piece)
            over = self._text.over
            self._written = len(self._text.written().ids) if over else self._text.config.length - self._text.left
            if self._telling is not None:
                self._tokens += self._telling.take(self._size)
            if over:
                self._finish = "stop" if self._text.finished else "length"
        return max(0, self._written - before)

    def fail(self, refusal: Refusal) -> None:
        """End the text with an error. It is raised after all pieces written so far."""
        self._refusal = refusal

    def wake(self, ended: bool) -> None:
        """Wake the reader, on the event loop's thread: there may be a new piece or, if `ended`, the last one.

        The reader sees the end only after this call, when another text may already take this one's place.
        """
        self._ended |= ended
        self._news.set()

    async def __anext__(self) -> Piece:
        while True:
            self._news.clear()
            if (piece := self._next()) is not None:
                return piece
            if self._ended and self._refusal is not None and not self._over:
                raise self._refusal
            if self._ended:
                raise StopAsyncIteration
            await self._news.wait()

    def _next(self) -> Piece | None:
        with self._lock:
            finish = self._finish if self._ended and not self._over else ""
            if not (self._said or self._tokens or finish):
                return None
            piece = Piece(self._said, self._tokens, finish)
            self._said, self._tokens, self._over = "", [], bool(finish)
            return piece


class _TokenReporter:
    """Makes `Token`s from the probabilities recorded for a text, as far as the text has been emitted."""

    def __init__(self, text: Text, echo: bool) -> None:
        self._text, self._place, self._taken = text, 0, 0
        self._before = text.prompt_ids if echo else text.prompt_ids[:0]
        self._echoed = len(text.shown) if echo else 0
        self._decoder = text.vocab.decoder(after=() if echo else text.prompt_ids)
        self._held = list[Token]()

    def take(self, size: int) -> list[Token]:
        """Return the tokens within the first `size` characters, each once. At the text's end, return the rest."""
        while self._taken < len(self._text.chances):
            self._held.append(self._next(self._text.chances[self._taken]))
        if self._text.over and not self._text.finished and self._held:
            self._held[-1] = self._held[-1]._replace(text=self._held[-1].text + _sendable(self._decoder.end()))
            ready = len(self._held)
        elif self._text.over:
            ready = sum(token.offset < size for token in self._held)
        else:
            ready = sum(token.offset + len(token.text) <= size for token in self._held)
        found, self._held = self._held[:ready], self._held[ready:]
        return found

    def _next(self, chance: Chance | None) -> Token:
        if self._taken == len(self._before):
            self._place = self._echoed  # a prompt is echoed as typed, which may differ from its tokens' text
        likeliest = chance.likeliest if chance else ()
        added = self._decoder.peek([n for n, _ in likeliest])
        top = [(_sendable(text or ""), nats) for text, (_, nats) in zip(added, likeliest, strict=True)]
        said = _sendable(self._decoder.feed([chance.id if chance else int(self._before[0])]))
        token = Token(said, chance.nats if chance else None, top, self._place)
        self._place, self._taken = self._place + len(said), self._taken + 1
        return token


def _sendable(text: str) -> str:
    """Return the text with U+FFFD in place of bytes that are not UTF-8, which JSON and HTTP cannot carry."""
    return _NO_TEXT.sub("\ufffd", text)
