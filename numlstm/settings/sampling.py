"""The settings of new text: how tokens are drawn, and where a text ends."""

from __future__ import annotations

import dataclasses
import os

from .declaration import Settings, setting

INITIALS_OF = ("line", "word")


@dataclasses.dataclass(frozen=True)
class SamplingSettings(Settings):
    """How text is written: at most `length` tokens, drawn from `seed` as `backends/spec/sampling.py` states.

    `temperature` 0 takes the likeliest token, 1 follows the model. `top_k` (0: all) and `top_p` (1: all) keep the
    likeliest tokens, `min_p` (0: all) those that are not too far behind. `repetition_penalty` (1: none) makes each of
    the last `penalty_window` tokens, read or written, less likely. A text ends before the first of the texts `stop`
    that it comes to, and none of the texts `ban` is in it, nor where it meets the prompt. With `initials` each new
    line, or word as `initials_of` says, begins with the next of these letters, large or small, and the text ends with
    the line or word of the last.
    """

    length: int = setting(250, "Tokens to write at most: characters, or bytes or words, as the model has them.")
    temperature: float = setting(
        0.6,
        "How freely to choose: 0 always takes the likeliest token, 1 follows the model, more is wilder.",
        least=0,
    )
    seed: int = setting(0, "The same seed gives the same text.", most=2**63 - 1, says="a new one")
    top_k: int = setting(0, "Choose among the K likeliest tokens; 0: among all.")
    top_p: float = setting(
        1.0, "Choose among the fewest likeliest tokens that have this probability together.", above=0, most=1
    )
    min_p: float = setting(
        0.0, "Leave out tokens less likely than this share of the likeliest one's probability.", least=0, most=1
    )
    repetition_penalty: float = setting(
        1.0, "Above 1: tokens that were there lately become less likely.", above=0, most=100
    )
    penalty_window: int = setting(64, "How many of the last tokens, prompt and text, it looks at.", least=1, most=2**20)
    stop: tuple[str, ...] = setting((), "End the text before this, where it comes to it.", metavar="TEXT")
    ban: tuple[str, ...] = setting((), "Never write this.", metavar="TEXT")
    initials: str = setting(
        "", "Begin each line with the next of these letters; end with the last.", metavar="ACROSTIC"
    )
    initials_of: str = setting(
        "line", "What begins with them: each line or word.", choices=INITIALS_OF, metavar="line|word"
    )


def new_seed() -> int:
    """Return a seed from the system's source of randomness; `secrets` would add hundredths of a second to a start."""
    return int.from_bytes(os.urandom(4), "big") >> 1
