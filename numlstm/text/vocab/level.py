"""Choose a text's vocabulary, or the builder that makes it, from the settings."""

from __future__ import annotations

from ...settings.text import TextSettings
from .base import Builder, Vocab
from .byte import ByteVocab
from .char import CharBuilder
from .word import WordBuilder


def known(settings: TextSettings) -> Vocab | None:
    """Return the vocabulary if it does not depend on the text (bytes), else None."""
    return ByteVocab() if settings.level == "byte" else None


def builder(settings: TextSettings) -> Builder:
    """Return a builder for the vocabulary of a text."""
    if settings.level == "word":
        return WordBuilder(settings.vocab_size, settings.min_count, settings.pretokenised)
    return CharBuilder()
