"""Samples that a model writes during training: one prompt, several temperatures."""

from __future__ import annotations

import dataclasses

from ..errors import CorpusError
from ..text.dataset.corpus import Corpus
from ..text.dataset.streams import split
from ..text.vocab.word import UNKNOWN
from .state import TrainingState

TEMPERATURES = (0.0, 0.25, 0.5, 0.75)
_LONGEST = 40  # characters of a prompt


@dataclasses.dataclass(frozen=True)
class Samples:
    """Continuations of `prompt`, by temperature, that the model wrote at a step."""

    step: int
    epoch: int
    prompt: str
    texts: dict[float, str]


def check_prompt(prompt: str, text: Corpus) -> None:
    """Raise `CorpusError` if the samples' prompt has characters that the text lacks."""
    if unknown := text.vocab.unknown_symbols(prompt):
        listed = ", ".join(map(repr, unknown[:10]))
        raise CorpusError(
            f"`prompt` has characters that the text lacks: {listed}; expected only characters of the text"
        )


def write(run: TrainingState, prompt: str, length: int) -> dict[float, str]:
    """Return a continuation for each temperature. The seed is always the run's: only the model changes the samples."""
    model = run.evaluation_model()
    return {
        temperature: model.generate(prompt, length=length, temperature=temperature, seed=run.config.seed)
        for temperature in TEMPERATURES
    }


def default_prompt(text: Corpus) -> str:
    """Return the first full line of the text's last tenth, cut to 40 characters, for words at the last whole one."""
    _, val = split(text.ids, 0.1)
    tail = text.vocab.decode(val[:2000]) or text.vocab.decode(text.ids[:2000])
    lines = [line for line in tail.split("\n")[1:] if len(line) > 8] or [tail]
    if text.vocab.unknown_id is not None:  # <unk> is a poor prompt
        lines = [line for line in lines if UNKNOWN not in line] or lines
    if text.vocab.level != "word" or len(lines[0]) <= _LONGEST:
        return lines[0][:_LONGEST]
    return lines[0][: _LONGEST + 1].rpartition(" ")[0]
