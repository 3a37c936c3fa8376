"""What the tokens of a text are to be: the settings from which a vocabulary is made.

Knows nothing about files, corpora or models.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ...errors import ConfigError
from .base import LEVELS, Builder, Vocab
from .byte import ByteVocab
from .char import CharBuilder
from .word import WordBuilder

_SMALLEST, _LARGEST = 4, 2**24


@dataclasses.dataclass(frozen=True)
class Level:
    """The level of a text, and for words which of them the vocabulary is to have: see `WordBuilder`.

    `pretokenised` texts are cut at white space. Raises `ConfigError` for a value out of range, or one that the level
    has no use for.
    """

    name: str = "char"
    vocab_size: int | None = None
    min_count: int | None = None
    pretokenised: bool = False

    def __post_init__(self) -> None:
        if self.name not in LEVELS:
            raise ConfigError(f"level is {self.name!r}; expected {', '.join(LEVELS)}")
        if self.name != "word":
            given = [name for name in ("vocab_size", "min_count") if getattr(self, name) is not None]
            given += ["pretokenised"] if self.pretokenised else []
            if given:
                raise ConfigError(
                    f"{given[0]} is {getattr(self, given[0])} but the level is {self.name}; expected it only with "
                    "--level word"
                )
        for name, least in (("vocab_size", _SMALLEST), ("min_count", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= _LARGEST:
                raise ConfigError(f"{name} is {value}; expected a whole number from {least} to {_LARGEST}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold."""
        return dataclasses.asdict(self)

    def known(self) -> Vocab | None:
        """Return the vocabulary if it does not depend on the text."""
        return ByteVocab() if self.name == "byte" else None

    def builder(self) -> Builder:
        """Return what makes the vocabulary of a text."""
        if self.name == "word":
            return WordBuilder(self.vocab_size, self.min_count, self.pretokenised)
        return CharBuilder()
