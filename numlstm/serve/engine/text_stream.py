"""Texts as their clients get them: what is wanted, and what there is of it, whenever the client asks.

What was written since a client last asked waits in one place, so that a slow one costs nothing but its own text. Knows
nothing about models in memory or turns.
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
class Wanted:
    """A text that is asked for.

    `number` is its place among those of one seed, `logprobs` how many likelier tokens are told beside each (None:
    nothing is told of tokens); with `echo` the prompt comes before the text, and its tokens are told of too.
    """

    prompt: str
    config: SamplingSettings
    number: int = 0
    drop_unknown: bool = False
    logprobs: int | None = None
    echo: bool = False


class Token(NamedTuple):
    """A token's text, its log-probability in nats under the model, the likeliest ones there, and where it begins.

    The offset counts characters of what the stream says, which begins with the prompt if that is echoed. The first of
    an echoed prompt follows nothing: it has no log-probability, and nothing was likelier.
    """

    text: str
    logprob: float | None
    top: list[tuple[str, float]]
    offset: int


class Piece(NamedTuple):
    """What is new of a text. `finish` is "" until the last piece: then why it ended there, "stop" or "length"."""

    text: str
    tokens: list[Token]
    finish: str


class Usage(NamedTuple):
    """How many tokens the prompt has, and the text so far."""

    prompt_tokens: int
    completion_tokens: int


class Stream(AsyncIterator[Piece]):
    """One text on its way to a client: iterate over it, once, for its pieces.

    Iterating raises `Refusal` if the text could not be written to its end. `cancel` drops it before its next token:
    then there is no last piece.
    """

    def __init__(self, text: Text, wanted: Wanted, cancel: Callable[[], None]) -> None:
        self._text, self.cancel = text, cancel
        self._lock, self._news = threading.Lock(), asyncio.Event()
        self._said, self._tokens, self._finish = _sendable(text.shown) if wanted.echo else "", list[Token](), ""
        self._size = len(self._said)  # characters of all that was said
        self._telling = None if wanted.logprobs is None else _Telling(text, wanted.echo)
        self._refusal: Refusal | None = None
        self._written, self._ended, self._over = 0, False, False
        self.deadline = float("inf")  # of time.monotonic

    @property
    def usage(self) -> Usage:
        """The tokens so far; at the end those that the text consists of."""
        return Usage(len(self._text.prompt_ids), self._written)

    def take(self, piece: str) -> int:
        """Take what is new of the text, on the engine's thread; return how many tokens are."""
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
        """End the text with an error, which comes after all that was written."""
        self._refusal = refusal

    def wake(self, ended: bool) -> None:
        """Tell whoever waits for the next piece that there may be one, or the last, in the event loop's thread.

        The end is shown from then on, not before: by then another text may have this one's place.
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


class _Telling:
    """Makes tokens of what is known of a text's, as far as their text was said."""

    def __init__(self, text: Text, echo: bool) -> None:
        self._text, self._place, self._taken = text, 0, 0
        self._before = text.prompt_ids if echo else text.prompt_ids[:0]
        self._echoed = len(text.shown) if echo else 0
        self._decoder = text.vocab.decoder(after=() if echo else text.prompt_ids)
        self._held = list[Token]()

    def take(self, size: int) -> list[Token]:
        """Return the tokens of the first `size` characters, each once; where the text is over, of all that it says."""
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
            self._place = self._echoed  # a prompt is shown as it was typed, which its tokens may not say exactly
        likeliest = chance.likeliest if chance else ()
        added = self._decoder.peek([n for n, _ in likeliest])
        top = [(_sendable(text or ""), nats) for text, (_, nats) in zip(added, likeliest, strict=True)]
        said = _sendable(self._decoder.feed([chance.id if chance else int(self._before[0])]))
        token = Token(said, chance.nats if chance else None, top, self._place)
        self._place, self._taken = self._place + len(said), self._taken + 1
        return token


def _sendable(text: str) -> str:
    """Return a text with a sign in place of bytes that are no UTF-8, which JSON and HTTP cannot carry."""
    return _NO_TEXT.sub("\ufffd", text)
