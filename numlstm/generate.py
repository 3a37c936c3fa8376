"""New text from a network, token by token, the state carried along; one text, or many side by side.

The network is whatever offers the methods of `Drawer`; random numbers are a function of the seed, the text's place
among those written side by side, and the token's in it, so a seed means the same on every device. Knows nothing about
files or layers.

What a seed gives: on the CPU's kernels the same text for every number of texts, of threads and of pieces. Between
devices and processors logits differ by rounding, and a number that falls between the two sums takes another token.
Where one computes in float32 and one in float64 (two layers of 128, Shakespeare), that is expected in one text of 250
characters in 1,000; of 1,024 such texts by NumPy and by the kernels, both in float32, none differed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from . import sampling
from .config import SampleConfig
from .errors import ConfigError
from .sampling import Draws, Sampling
from .text.vocab import Ids, Vocab

if TYPE_CHECKING:
    from .rules import Rule
    from .stops import Stops

_PIECE_SECONDS = 0.02  # how long drawing one piece may take, so that text appears as it is made


class Drawer(Protocol):
    """What generation asks of a network. A state is h and c, each (B, H), of every layer."""

    @property
    def vocab(self) -> Vocab: ...

    def zero_state(self, batch_size: int) -> Any:
        """Return the state that nothing has been read into."""

    def read(self, ids: npt.NDArray[Any], state: Any) -> Any:
        """Read ids (T, B) and return the state after them."""

    def draw(
        self, ids: npt.NDArray[Any], state: Any, uniforms: Draws, how: Sampling
    ) -> tuple[npt.NDArray[np.int32], Any]:
        """Read ids (B), then draw uniforms.shape (N, B) tokens one after the other; return them and the state."""


class Written(NamedTuple):
    """A text that was written: the prompt as it is shown before it, what is new, and the ids of both.

    Where the text ended before its length, the last of `ids` may say more than the text. `missing` counts the initials
    that did not come.
    """

    start: str
    text: str
    prompt_ids: Ids
    ids: Ids
    missing: int


def generate(model: Drawer, prompt: str, config: SampleConfig, *, drop_unknown: bool = False) -> Iterator[str]:
    """Yield new text that goes on from `prompt`, in pieces, as soon as each is drawn.

    The prompt, or the text without one, begins a line: a line's end is read before it. Joined, the pieces are the text
    of at most `config.length` tokens; how they are cut depends on the machine's speed, what they say does not. Bytes
    that are no UTF-8 are lone surrogates, as Python's "surrogateescape" makes them. Raises `CorpusError`, before
    anything is drawn, if the prompt has characters that the vocabulary lacks.
    """
    return (piece for _, piece in Writing(model, [prompt], config, drop_unknown=drop_unknown).pieces())


def generate_many(
    model: Drawer, prompts: Sequence[str], config: SampleConfig, *, drop_unknown: bool = False
) -> list[str]:
    """Return a text for each prompt that goes on from it, all drawn side by side as one batch.

    Each has random numbers of its own, so that what it says does not depend on how many others there are, to
    rounding; the first is what `generate` yields. Raises `CorpusError` as that does.
    """
    writing = Writing(model, prompts, config, drop_unknown=drop_unknown)
    return [written.text for written in writing.all()]


class Writing:
    """Texts that are written side by side, each going on from a prompt of its own."""

    def __init__(
        self, model: Drawer, prompts: Sequence[str], config: SampleConfig, *, drop_unknown: bool = False
    ) -> None:
        self.model, self.config = model, config
        self.texts = [Text(n, model.vocab, prompt, config, drop_unknown) for n, prompt in enumerate(prompts)]

    def all(self) -> list[Written]:
        """Write all texts to their ends."""
        for _ in self.pieces():
            pass
        return self.written()

    def written(self) -> list[Written]:
        """Return what was written so far."""
        return [text.written() for text in self.texts]

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Yield the number of a text and the next piece of it, until all are at their ends."""
        if not self.texts:
            return
        texts = sorted(self.texts, key=lambda text: -len(text.start))
        state = _read(self.model, [text.start[:-1] for text in texts])
        last: npt.NDArray[Any] = np.array([text.start[-1] for text in texts])
        left, size = self.config.length, 1
        while left and texts:
            started = time.perf_counter()
            size = 1 if texts[0].rules else min(size, left)
            draws = Draws(self.config.seed, tuple(text.number for text in texts), self.config.length - left, size)
            last, state = self.model.draw(last, state, draws, _settings(self.config, texts))
            for text, column in zip(texts, last.T, strict=True):
                yield text.number, text.take(column)
            last, left = last[-1], left - size
            texts, last, state = _unfinished(texts, last, state)
            size = size * 2 if time.perf_counter() - started < _PIECE_SECONDS / 2 else max(1, size // 2)
        for text in texts:
            yield text.number, text.end()


class Text:
    """One text: what it goes on from, and what is known of it as it is written."""

    def __init__(
        self,
        number: int,
        vocab: Vocab,
        prompt: str,
        config: SampleConfig,
        drop_unknown: bool,
    ) -> None:
        self.number, self.vocab = number, vocab
        self.prompt_ids = vocab.encode_prompt(prompt, drop_unknown=drop_unknown)
        # As a line begins: in the middle of one, read from zeros, a network may never find its way.
        self.start = np.concatenate([np.array([vocab.start_id], vocab.id_dtype), self.prompt_ids])
        self.shown = shown_prompt(vocab, prompt, self.prompt_ids, drop_unknown)
        self.decoder = vocab.decoder(after=self.prompt_ids)
        self.rules = _rules(vocab, self.shown, config)
        self.stops = _stops(config)
        self.recent = _recent(self.prompt_ids, config)
        self.drawn: list[npt.NDArray[np.int32]] = []
        self.said: list[str] = []
        self.finished = False

    def take(self, tokens: npt.NDArray[np.int32]) -> str:
        """Take note of the tokens that were drawn; return what is certain of the text."""
        self.drawn.append(tokens)
        if self.recent is not None:
            self.recent = np.concatenate([self.recent, tokens])[-len(self.recent) :]
        return self._take(self.decoder.feed(tokens))

    def end(self) -> str:
        """Return the rest, now that nothing follows."""
        rest = self._take(self.decoder.end())
        if self.stops is not None and not self.finished:
            self.said.append(self.stops.end())
            rest += self.said[-1]
        return rest

    def _take(self, text: str) -> str:
        for rule in self.rules:
            text, ended = rule.take(text)
            self.finished |= ended
        if self.stops is not None:
            text, stopped = self.stops.feed(text)
            if self.finished and not stopped:
                text += self.stops.end()
            self.finished |= stopped
        self.said.append(text)
        return text

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Return which tokens (V) may come next; raises `ConfigError` if none may."""
        mask = self.permitted()
        if not mask.any():
            tail = (self.shown + "".join(self.said))[-20:]
            raise ConfigError(f"nothing may follow {tail!r}: all is ruled out; ban less, or choose other initials")
        return mask

    def permitted(self) -> npt.NDArray[np.bool_]:
        """Return what the rules permit (V), which may be nothing."""
        additions = self.decoder.peek()
        return np.asarray(np.logical_and.reduce([rule.permits(additions) for rule in self.rules]))

    def written(self) -> Written:
        ids, text = np.concatenate([np.empty(0, np.int32), *self.drawn]), "".join(self.said)
        if self.finished:
            ids = ids[: _reaching(self.vocab, self.prompt_ids, ids, len(text))]
        missing = sum(getattr(rule, "missing", 0) for rule in self.rules)
        return Written(self.shown, text, self.prompt_ids, ids.astype(self.vocab.id_dtype), missing)


def shown_prompt(vocab: Vocab, prompt: str, ids: Ids, drop_unknown: bool) -> str:
    """Return a prompt as it is shown before the text: as typed, even where a word is unknown, less what is dropped."""
    if drop_unknown:
        return vocab.decode(ids)
    return prompt.rstrip(" ") if vocab.level == "word" else prompt


def _stops(config: SampleConfig) -> Stops | None:
    if not config.stop:
        return None
    from .stops import Stops

    return Stops(config.stop)


def _rules(vocab: Vocab, before: str, config: SampleConfig) -> list[Rule]:
    if not (config.ban or config.initials):
        return []
    from .rules import rules

    return rules(vocab, before, config.ban, config.initials, config.initials_of)


def _recent(ids: Ids, config: SampleConfig) -> npt.NDArray[np.int32] | None:
    """Return the last tokens of a prompt, -1 where there are none; None if nobody looks at them."""
    if config.repetition_penalty == 1:
        return None
    recent = np.full(config.penalty_window, -1, np.int32)
    last = ids[-len(recent) :]
    recent[len(recent) - len(last) :] = last
    return recent


def _settings(config: SampleConfig, texts: list[Text]) -> Sampling:
    seen = [text.recent for text in texts if text.recent is not None]
    return sampling.of(
        len(texts),
        config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        min_p=config.min_p,
        penalty=config.repetition_penalty,
        recent=np.stack(seen) if seen else None,
        allowed=np.stack([text.allowed() for text in texts]) if texts[0].rules else None,
    )


def _unfinished(texts: list[Text], last: npt.NDArray[Any], state: Any) -> tuple[list[Text], npt.NDArray[Any], Any]:
    """Return the texts that are not at their ends, the token that each reads next and their states."""
    kept = [n for n, text in enumerate(texts) if not text.finished]
    if len(kept) == len(texts):
        return texts, last, state
    for to, n in enumerate(kept):  # by slices, which every kind of array has
        for part in (part for pair in state for part in pair):
            part[to : to + 1] = part[n : n + 1]
    state = [(h[: len(kept)], c[: len(kept)]) for h, c in state]
    return [texts[n] for n in kept], last[kept], state


def _reaching(vocab: Vocab, before: Ids, ids: npt.NDArray[np.int32], size: int) -> int:
    """Return how many of the ids it takes to say so many characters."""
    decoder, said = vocab.decoder(after=before), 0
    for n, token in enumerate(ids):
        if said >= size:
            return n
        said += len(decoder.feed([token]))
    return len(ids)


def _read(model: Drawer, prompts: list[Ids]) -> Any:
    """Return the state after prompts, longest first, read side by side as far as the shortest, then without it ..."""
    state, read = model.zero_state(len(prompts)), 0
    for length in sorted({len(ids) for ids in prompts}):
        B = sum(len(ids) >= length for ids in prompts)
        ids = np.stack([each[read:length] for each in prompts[:B]], axis=1)
        after = model.read(ids, [(h[:B], c[:B]) for h, c in state])
        for (h, c), (new_h, new_c) in zip(state, after, strict=True):
            h[:B], c[:B] = new_h, new_c
        read = length
    return state
