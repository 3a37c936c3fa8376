"""Continuous batching: texts generated together, each of which can join or leave at any time.

Each turn reads the next part of the prompts of new texts, then draws the next few tokens of all other texts in one
call, the same number for each. A text's content does not depend on the other texts in the batch (see `writing.py`). Any
object with the methods of `Drawer` can be the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..backends.spec import philox, sampling
from ..backends.spec.sampling import Draws, Sampling
from ..errors import ConfigError
from ..text.vocab.base import Ids, Vocab
from . import token_probabilities
from .sequence import Text

_SECONDS = 0.02  # time limit for drawing one piece, so that text streams smoothly
_PART = 256  # maximum prompt tokens read per text and turn, so that other texts do not wait for a long prompt
_TOGETHER = 8192  # maximum prompt tokens read per call, all texts together: layers keep activations for each


class Drawer(Protocol):
    """The network interface that generation needs. A state is h and c, each (B, H), of every layer."""

    @property
    def vocab(self) -> Vocab: ...

    def zero_state(self, batch_size: int) -> Any:
        """Return the state before the first token."""

    def read(self, ids: npt.NDArray[Any], state: Any) -> Any:
        """Read ids (T, B) and return the state after them."""

    def logits(self, ids: npt.NDArray[Any], state: Any) -> tuple[npt.NDArray[Any], Any]:
        """Read ids (T, B); return the logits (T, B, V) of the token after each, and the final state."""

    def draw(
        self, ids: npt.NDArray[Any], state: Any, uniforms: Draws | npt.NDArray[np.float64], how: Sampling
    ) -> tuple[npt.NDArray[np.int32], Any]:
        """Read ids (B), then draw N tokens for each text, `uniforms` being (N, B); return them and the final state."""


class Batch:
    """Texts generated together by one network; any text may join or leave between turns.

    A turn draws for about `seconds`, plus `each` seconds per text, but at least one token per text. Set `each` to the
    cost of delivering a piece, so that delivery does not take longer than drawing.
    """

    def __init__(self, model: Drawer, seconds: float = _SECONDS, each: float = 0.0) -> None:
        self.model, self.seconds, self.each, self._members = model, seconds, each, list[_Member]()
        self._reading, self._drawing, self._telling = _Pace(16, _PART), _Pace(1, 2**16), _Pace(16, 2**16)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, text: Text) -> None:
        """Add a text to the batch."""
        self._members.append(_Member(text))

    def remove(self, text: Text) -> None:
        """Remove a text from the batch; do nothing if it has already left."""
        self._members = [each for each in self._members if each.text is not text]

    def turn(self) -> list[tuple[Text, str]]:
        """Advance all texts; return each text that was continued with its new piece.

        Finished texts leave the batch. So does a text that no token may follow; its `problem` is set.
        """
        if unread := [each for each in self._members if each.unread]:
            self._read(unread)
        writing = [each for each in self._members if not each.unread]
        said = [(each.text, "") for each in writing if not each.permitted()]
        said += [(each.text, each.text.end()) for each in writing if not (each.text.problem or each.text.left)]
        if writing := [each for each in writing if not each.text.over]:
            said += self._write(writing)
        self._members = [each for each in self._members if not each.text.over or each.unread]
        return said

    def _read(self, members: list[_Member]) -> None:
        """Read the next part of the prompts as one batch."""
        longest, started = max(each.unread for each in members), time.perf_counter()
        size = max(1, min(self._reading.size, longest, _TOGETHER // len(members)))
        _read([each for each in members if not each.text.echo], size, self.model.zero_state, self.model.read)
        self._reading.took(size, time.perf_counter() - started, self.seconds)
        if echoing := [each for each in members if each.text.echo]:
            size, started = max(1, min(size, self._telling.size // len(echoing))), time.perf_counter()
            for each in echoing:
                _read([each], size, self.model.zero_state, self._reading_chances(each))
            self._telling.took(size * len(echoing), time.perf_counter() - started, self.seconds)

    def _reading_chances(self, member: _Member) -> Callable[[Ids, Any], Any]:
        """Return a function that reads part of a prompt and records the probabilities of its tokens."""

        def read(ids: Ids, state: Any) -> Any:
            text, following = member.text, member.text.start[member.read + 1 :][: len(ids)]
            logits, after = self.model.logits(ids, state)
            text.chances += token_probabilities.of(logits[:, 0], following, text.likeliest or 0)
            if not member.read:
                text.chances[0] = None  # only the start token comes before a prompt's first token
            return after

        return read

    def _write(self, members: list[_Member]) -> list[tuple[Text, str]]:
        """Draw a piece of each text."""
        texts, state = [each.text for each in members], _gather_state(self.model.zero_state, members)
        last = np.array([each.last for each in members], np.int32)
        size = min(self._drawing.size, max(text.left for text in texts)) if _uniform(texts) else 1
        if wanting := [n for n, text in enumerate(texts) if text.likeliest is not None]:
            size = max(1, min(size, self._telling.size // len(wanting)))
        started = time.perf_counter()
        drawn, after = self.model.draw(last, state, _numbers(texts, size), _settings(members))
        self._drawing.took(size, time.perf_counter() - started, self.seconds + self.each * len(members))
        for n, member in enumerate(members):
            member.state, member.row = state, n
        if wanting:
            started = time.perf_counter()
            self._take_chances(members, wanting, np.concatenate([last[None], drawn]))
            allowed = self.seconds + self.each * len(wanting)
            self._telling.took(size * len(wanting), time.perf_counter() - started, allowed)
        said = []
        for n, (member, column) in enumerate(zip(members, drawn.T, strict=True)):
            member.state, member.row, member.last = after, n, int(column[-1])
            text, piece = member.text, member.text.take(column[: member.text.left])
            said.append((text, piece if text.finished or text.left else piece + text.end()))
        return said

    def _take_chances(self, members: list[_Member], wanting: list[int], ids: npt.NDArray[np.int32]) -> None:
        """Record the token probabilities of the texts `wanting`, for ids (N + 1, B): the last token read, then N drawn.

        Reads the drawn tokens again, from the state before them, to get the network's own distribution.
        """
        logits, _ = self.model.logits(
            ids[:-1, wanting], _gather_state(self.model.zero_state, [members[n] for n in wanting])
        )
        for place, n in enumerate(wanting):
            text = members[n].text
            text.chances += token_probabilities.of(
                logits[: text.left, place], ids[1:, n][: text.left], text.likeliest or 0
            )


class _Member:
    """A text in a batch: how much of its prompt was read, its row in a state, and the next token to read."""

    def __init__(self, text: Text) -> None:
        self.text, self.read, self.last = text, 0, int(text.start[-1])
        self.state: Any = None  # None: the zero state
        self.row = 0
        self.mask: npt.NDArray[np.bool_] | None = None

    @property
    def unread(self) -> int:
        """The number of tokens to read before the first can be drawn."""
        return len(self.text.start) - 1 - self.read

    def permitted(self) -> bool:
        """True if the rules let at least one token follow the text; otherwise sets the text's `problem`."""
        try:
            self.mask = self.text.allowed() if self.text.rules and self.text.left else None
        except ConfigError as error:
            self.text.problem = error
        return self.text.problem is None


class _Pace:
    """Adapts the number of steps per call, at most `most`, to the allowed time."""

    def __init__(self, size: int, most: int) -> None:
        self.size, self.most = size, most

    def took(self, steps: int, seconds: float, allowed: float) -> None:
        """Record that `steps` steps took `seconds`, and adapt the size to `allowed` seconds."""
        fitting = max(1, min(2 * steps, int(steps * allowed / max(seconds, 1e-9)), self.most))
        if fitting < self.size or 2 * steps > self.size:
            self.size = fitting


def _read(members: list[_Member], size: int, zero_state: Callable[[int], Any], read: Callable[..., Any]) -> None:
    """Read up to `size` tokens of each prompt as one batch, which shrinks as shorter prompts end."""
    if not members:
        return
    members = sorted(members, key=lambda each: -min(each.unread, size))
    state, parts = _gather_state(zero_state, members), [min(each.unread, size) for each in members]
    done = 0
    for length in sorted(set(parts)):
        B = sum(part >= length for part in parts)
        ids = np.stack([each.text.start[each.read :][done:length] for each in members[:B]], axis=1)
        after = read(ids, [(h[:B], c[:B]) for h, c in state])
        for (h, c), (new_h, new_c) in zip(state, after, strict=True):
            h[:B], c[:B] = new_h, new_c
        done = length
    for n, (member, part) in enumerate(zip(members, parts, strict=True)):
        member.state, member.row, member.read = state, n, member.read + part


def _gather_state(zero_state: Callable[[int], Any], members: Sequence[_Member]) -> Any:
    """Return one state with a row per member, in order: their current state if it already fits, else a new one."""
    first, B = members[0].state, len(members)
    if (
        first is not None
        and len(first[0][0]) == B
        and all(each.state is first and each.row == n for n, each in enumerate(members))
    ):
        return first
    state, low = zero_state(B), 0
    for high in range(1, B + 1):  # copy runs of adjacent rows by slicing, which every array type supports
        start, end = members[low], members[high - 1]
        if high < B and members[high].state is start.state and members[high].row == end.row + 1:
            continue
        if start.state is not None:
            for pair, old in zip(state, start.state, strict=True):
                for part, from_ in zip(pair, old, strict=True):
                    part[low:high] = from_[start.row : end.row + 1]
        low = high
    return state


def _uniform(texts: list[Text]) -> bool:
    """True if one call may draw several tokens: there are no rules, and all penalty windows have the same length."""
    return not any(text.rules for text in texts) and len({len(t.recent) for t in texts if t.recent is not None}) < 2


def _numbers(texts: list[Text], size: int) -> Draws | npt.NDArray[np.float64]:
    """Return the random numbers for the next `size` tokens."""
    places = [text.config.length - text.left for text in texts]
    seeds, streams = [text.config.seed for text in texts], [text.number for text in texts]
    if len(set(places)) == 1 == len(set(seeds)):
        return Draws(seeds[0], tuple(streams), places[0], size)
    return philox.uniforms(seeds, streams, places, size)


def _settings(members: list[_Member]) -> Sampling:
    texts, masks = [each.text for each in members], [each.mask for each in members]
    configs, recent, allowed = [text.config for text in texts], None, None
    seen = [text.recent for text in texts if text.recent is not None]
    if seen:
        recent = np.full((len(texts), max(map(len, seen))), -1, np.int32)
        for row, text in zip(recent, texts, strict=True):
            if text.recent is not None:
                row[len(row) - len(text.recent) :] = text.recent
    if any(mask is not None for mask in masks):
        every = np.ones(len(texts[0].vocab), np.bool_)
        allowed = np.stack([every if mask is None else mask for mask in masks])
    return sampling.of(
        len(texts),
        [each.temperature for each in configs],
        top_k=[each.top_k for each in configs],
        top_p=[each.top_p for each in configs],
        min_p=[each.min_p for each in configs],
        penalty=[each.repetition_penalty for each in configs],
        recent=recent,
        allowed=allowed,
    )
