"""One text during generation: its prompt, the constraints on its next token, and the text so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..settings.sampling import SamplingSettings
from ..text.vocab.base import Ids, Vocab
from .token_probabilities import Chance

if TYPE_CHECKING:
    from .constraints import Rule
    from .stop_texts import Stops


class Written(NamedTuple):
    """A generated text: the prompt as displayed (`start`), the new `text`, and the ids of both.

    If a stop or a rule ended the text, the last of `ids` may decode to more than the text. `missing` counts the
    initials that were not reached.
    """

    start: str
    text: str
    prompt_ids: Ids
    ids: Ids
    missing: int


class Text:
    """One text being generated: its prompt and its progress.

    `number` is its index among the texts that share a seed. If `likeliest` is given, `chances` holds the probability
    of each token under the network, with that many of the likeliest tokens. With `echo` it also covers the prompt, with
    None for the first prompt token. `problem` is the error that ended the text early, if any.
    """

    def __init__(
        self,
        number: int,
        vocab: Vocab,
        prompt: str,
        config: SamplingSettings,
        drop_unknown: bool,
        *,
        likeliest: int | None = None,
        echo: bool = False,
    ) -> None:
        self.number, self.vocab, self.config = number, vocab, config
        self.prompt_ids = vocab.encode_prompt(prompt, drop_unknown=drop_unknown)
        # Start at a line's beginning: from a zero state in the middle of a line, a network may never recover.
        self.start = np.concatenate([np.array([vocab.start_id], vocab.id_dtype), self.prompt_ids])
        self.shown = displayed_prompt(vocab, prompt, self.prompt_ids, drop_unknown)
        self.decoder = vocab.decoder(after=self.prompt_ids)
        self.rules = _rules(vocab, self.shown, config)
        self.stops = _stops(config)
        self.recent = _recent(self.prompt_ids, config)
        self.drawn: list[npt.NDArray[np.int32]] = []
        self.said: list[str] = []
        self.left = config.length
        self.finished = False
        self.likeliest, self.echo = likeliest, echo and likeliest is not None
        self.chances: list[Chance | None] = []
        self.problem: Exception | None = None

    @property
    def over(self) -> bool:
        """True if no more tokens will be drawn."""
        return self.finished or not self.left or self.problem is not None

    def take(self, tokens: npt.NDArray[np.int32]) -> str:
        """Record drawn tokens; return the new text that is already certain."""
        self.drawn.append(tokens)
        self.left -= len(tokens)
        if self.recent is not None:
            self.recent = np.concatenate([self.recent, tokens])[-len(self.recent) :]
        return self._take(self.decoder.feed(tokens))

    def end(self) -> str:
        """End the text; return what was held back."""
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
        """Return the mask (V) of tokens allowed next. Raises `ConfigError` if there are none."""
        mask = self.permitted()
        if not mask.any():
            tail = (self.shown + "".join(self.said))[-20:]
            raise ConfigError(
                f"no token is allowed after {tail!r}: all are ruled out; ban less, or choose other initials"
            )
        return mask

    def permitted(self) -> npt.NDArray[np.bool_]:
        """Return the mask (V) of tokens that the rules permit, which may be empty."""
        additions = self.decoder.peek()
        return np.asarray(np.logical_and.reduce([rule.permits(additions) for rule in self.rules]))

    def written(self) -> Written:
        ids, text = np.concatenate([np.empty(0, np.int32), *self.drawn]), "".join(self.said)
        if self.finished:
            ids = ids[: _ids_for_length(self.vocab, self.prompt_ids, ids, len(text))]
        missing = sum(getattr(rule, "missing", 0) for rule in self.rules)
        return Written(self.shown, text, self.prompt_ids, ids.astype(self.vocab.id_dtype), missing)


def displayed_prompt(vocab: Vocab, prompt: str, ids: Ids, drop_unknown: bool) -> str:
    """Return a prompt as displayed before the text: as typed, unknown words included unless they are dropped."""
    if drop_unknown:
        return vocab.decode(ids)
    return prompt.rstrip(" ") if vocab.level == "word" else prompt


def _stops(config: SamplingSettings) -> Stops | None:
    if not config.stop:
        return None
    from .stop_texts import Stops

    return Stops(config.stop)


def _rules(vocab: Vocab, before: str, config: SamplingSettings) -> list[Rule]:
    if not (config.ban or config.initials):
        return []
    from .constraints import rules

    return rules(vocab, before, config.ban, config.initials, config.initials_of)


def _recent(ids: Ids, config: SamplingSettings) -> npt.NDArray[np.int32] | None:
    """Return the penalty window: the last tokens of a prompt, padded with -1. None if there is no penalty."""
    if config.repetition_penalty == 1:
        return None
    recent = np.full(config.penalty_window, -1, np.int32)
    last = ids[-len(recent) :]
    recent[len(recent) - len(last) :] = last
    return recent


def _ids_for_length(vocab: Vocab, before: Ids, ids: npt.NDArray[np.int32], size: int) -> int:
    """Return how many of `ids` it takes to decode to `size` characters."""
    decoder, said = vocab.decoder(after=before), 0
    for n, token in enumerate(ids):
        if said >= size:
            return n
        said += len(decoder.feed([token]))
    return len(ids)
