"""The wording of messages: library settings as command-line options, counts with their plurals."""

from __future__ import annotations

import functools
import re

_NAME = re.compile(r"`([a-z][a-z0-9_]*)`")
_OTHERS = frozenset({"drop_unknown"})  # options that are not settings


def as_options(message: str, before: str = "--") -> str:
    """Replace setting names in a message by their options: `lr` in backticks becomes --lr."""

    def typed(found: re.Match[str]) -> str:
        return before + found[1].replace("_", "-") if found[1] in _names() else found[0]

    return _NAME.sub(typed, message)


def counted(number: int, noun: str) -> str:
    """Return "1 file" or "2,000 files"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


@functools.cache
def _names() -> frozenset[str]:
    from ...settings.commands import train_settings
    from ...settings.declaration import declared
    from ...settings.sampling import SamplingSettings

    return _OTHERS | {each.name for each in (*train_settings(), *declared(SamplingSettings))}
