"""The settings that make a text's vocabulary: what a token is, and which words there are."""

from __future__ import annotations

import dataclasses

from ..errors import ConfigError
from .declaration import TEXT, Settings, setting

LEVELS = ("char", "byte", "word")
_WORDS = ("level", ("word",))
_MOST_WORDS = 2**24


@dataclasses.dataclass(frozen=True)
class TextSettings(Settings):
    """The level of a text, and for words which of them the vocabulary is to have: see `WordBuilder`.

    `pretokenised` texts are cut at white space. Raises `ConfigError` for a value out of range, or one that the level
    has no use for.
    """

    level: str = setting(
        "char",
        "What a token is: char, byte (any file at all) or word.",
        TEXT,
        choices=LEVELS,
        fixed=True,
        common=True,
    )
    vocab_size: int | None = setting(
        None,
        "Keep the N most frequent words; others become <unk>.",
        TEXT,
        least=4,
        most=_MOST_WORDS,
        says="20000, of those that occur twice",
        only_with=_WORDS,
        fixed=True,
        metavar="N",
    )
    min_count: int | None = setting(
        None,
        "Keep the words that occur N times, instead or besides.",
        TEXT,
        least=1,
        most=_MOST_WORDS,
        only_with=_WORDS,
        fixed=True,
        metavar="N",
    )
    pretokenised: bool = setting(
        False, "The text is words with spaces between: cut it there alone.", TEXT, only_with=_WORDS, fixed=True
    )

    def _check_together(self) -> None:
        if self.level == "word":
            return
        for name in ("vocab_size", "min_count", "pretokenised"):
            if value := getattr(self, name):
                raise ConfigError(
                    f"`{name}` is {value} but the level is {self.level}; expected it only with the level word"
                )
