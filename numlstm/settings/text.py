"""The settings of a text's vocabulary: what a token is, and which words it contains."""

from __future__ import annotations

import dataclasses

from ..errors import ConfigError
from .declaration import TEXT, Settings, setting

LEVELS = ("char", "byte", "word")
_WORDS = ("level", ("word",))
_MOST_WORDS = 2**24


@dataclasses.dataclass(frozen=True)
class TextSettings(Settings):
    """The level of tokens and, at the word level, which words enter the vocabulary (see `WordBuilder`).

    `pretokenised` texts are split only at white space. Raises `ConfigError` for a value out of range, or one that the
    level does not use.
    """

    level: str = setting(
        "char",
        "What the model reads and writes one at a time, a token: char, byte (for any kind of file) or word.",
        TEXT,
        choices=LEVELS,
        fixed=True,
        common=True,
    )
    vocab_size: int | None = setting(
        None,
        "word: keep the N most frequent words; all others become <unk> (unknown).",
        TEXT,
        least=4,
        most=_MOST_WORDS,
        default_text="20000, of words that occur at least twice",
        only_with=_WORDS,
        fixed=True,
        metavar="N",
    )
    min_count: int | None = setting(
        None,
        "word: keep words that occur at least N times; may be combined with vocab-size.",
        TEXT,
        least=1,
        most=_MOST_WORDS,
        only_with=_WORDS,
        fixed=True,
        metavar="N",
    )
    pretokenised: bool = setting(
        False,
        "word: the text is already split into words by spaces; split it only there.",
        TEXT,
        only_with=_WORDS,
        fixed=True,
    )

    def _check_together(self) -> None:
        if self.level == "word":
            return
        for name in ("vocab_size", "min_count", "pretokenised"):
            if value := getattr(self, name):
                raise ConfigError(
                    f"`{name}` is {value} but `level` is {self.level}; expected it only with `level` word"
                )
