"""Messages of the library in the command line's terms."""

from __future__ import annotations

import functools
import re

from .declared_options import flag

_NAME = re.compile(r"`([a-z][a-z0-9_]*)`")
_OTHERS = frozenset({"drop_unknown"})  # options that are no settings of training


def as_options(message: str) -> str:
    """Return a message with settings as they are typed: `lr` becomes --lr."""
    return _NAME.sub(lambda found: flag(found[1]) if found[1] in _names() else found[0], message)


@functools.cache
def _names() -> frozenset[str]:
    from ...settings.commands import train_settings

    return _OTHERS | {each.name for each in train_settings()}
