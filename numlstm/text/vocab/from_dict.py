"""Restore a vocabulary of any level from its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import CorpusError
from ...settings.text import LEVELS
from .base import Vocab


def vocab_from_dict(values: Mapping[str, Any]) -> Vocab:
    """Return the vocabulary, of any level, whose `to_dict` gave `values`, read back from JSON.

    Raises `CorpusError` if an entry is missing, unknown, of the wrong type or out of range.
    """
    if not isinstance(values, Mapping):
        raise CorpusError(f"the vocabulary is a {type(values).__name__}; expected a mapping")
    level = values.get("level")
    # Import only the level that is needed, so that generation starts sooner.
    if level == "char":
        from .char import CharVocab

        return CharVocab(**_entries(values, "symbols"))
    if level == "byte":
        from .byte import ByteVocab

        return ByteVocab(**_entries(values))
    if level == "word":
        from .word import WordVocab

        return WordVocab(**_entries(values, "words", "pretokenised"))
    expected = ", ".join(map(repr, LEVELS))
    raise CorpusError(
        f"the vocabulary's level is {level!r:.40}; expected one of {expected}: it may need a newer numlstm"
    )


def _entries(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the entries `names`. Raises `CorpusError` unless they and the level are the only entries."""
    if set(values) != {"level", *names}:
        found = ", ".join(sorted(map(str, values)))
        raise CorpusError(f"the vocabulary holds {found:.80}; expected {', '.join(['level', *names])}")
    return {name: values[name] for name in names}
