"""The settings of text generation: how tokens are sampled, and where a text ends."""

from __future__ import annotations

import dataclasses
import os

from .declaration import Settings, setting

INITIALS_OF = ("line", "word")


@dataclasses.dataclass(frozen=True)
class SamplingSettings(Settings):
    """How text is generated: at most `length` tokens, sampled with `seed` as `backends/spec/sampling.py` specifies.

    `temperature` 0 takes the likeliest token, 1 samples from the model's own distribution. `top_k` (0: all) and `top_p`
    (1: all) keep the likeliest tokens, `min_p` (0: all) those whose probability is at least this share of the
    likeliest one's. `repetition_penalty` (1: none) makes each of the last `penalty_window` tokens, of the prompt or
    generated, less likely. The text ends before the first occurrence of a `stop` text. No `ban` text occurs in it, not
    even across the end of the prompt. With `initials`, each new line (or word: `initials_of`) begins with the next of
    these letters, in upper or lower case, and the text ends with the line or word of the last letter.
    """

    length: int = setting(250, "Maximum number of tokens to write: characters, bytes or words, depending on the model.")
    temperature: float = setting(
        0.6,
        "Randomness: 0 always takes the likeliest token, 1 follows the model's probabilities, more is wilder.",
        least=0,
    )
    seed: int = setting(
        0,
        "Number that fixes the random choices: the same seed gives the same text.",
        most=2**63 - 1,
        default_text="a new one",
    )
    top_k: int = setting(0, "Sample only from the K likeliest tokens; 0: from all.")
    top_p: float = setting(
        1.0, "Sample only from the likeliest tokens, as few as together have this probability.", above=0, most=1
    )
    min_p: float = setting(
        0.0, "Exclude tokens whose probability is below this share of the likeliest token's.", least=0, most=1
    )
    repetition_penalty: float = setting(
        1.0, "Values above 1 make tokens that occurred recently less likely.", above=0, most=100
    )
    penalty_window: int = setting(
        64, "How many of the last tokens, prompt included, the repetition penalty covers.", least=1, most=2**20
    )
    stop: tuple[str, ...] = setting((), "End the text before the first occurrence of this.", metavar="TEXT")
    ban: tuple[str, ...] = setting((), "Never write this text.", metavar="TEXT")
    initials: str = setting(
        "", "Write an acrostic: each line begins with the next of these letters.", metavar="ACROSTIC"
    )
    initials_of: str = setting(
        "line", "What begins with the initials: each line or each word.", choices=INITIALS_OF, metavar="line|word"
    )


def new_seed() -> int:
    """Return a seed from `os.urandom`; importing `secrets` would slow the start by hundredths of a second."""
    return int.from_bytes(os.urandom(4), "big") >> 1
