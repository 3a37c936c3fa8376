"""The export formats of chats and social networks: which files to read, in which order, and how."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import ConfigError
from .documents import read_at_once
from .facebook import messages_of_facebook
from .mastodon import messages_of_mastodon
from .messages import Message, format_messages
from .telegram import messages_of_telegram
from .whatsapp import messages_of_whatsapp


@dataclasses.dataclass(frozen=True)
class Format:
    """How to read one service's exports: the file extensions, and the function that parses their text to messages."""

    suffixes: tuple[str, ...]
    messages: Callable[[str], Iterator[Message]]


FORMATS = {
    "whatsapp": Format((".txt",), messages_of_whatsapp),
    "telegram": Format((".json",), messages_of_telegram),
    "facebook": Format((".json",), messages_of_facebook),
    "mastodon": Format((".json",), messages_of_mastodon),
}

_PART = re.compile(r"^(message_)(\d{1,9})(\.json)$")


def format_of(name: str) -> Format:
    """Return the format of that name. Raises `ConfigError` if there is none."""
    if name not in FORMATS:
        raise ConfigError(f"--format is {name!r}; expected {', '.join(FORMATS)}")
    return FORMATS[name]


def export(path: Path, form: Format, sender: str | None, names: bool) -> list[str]:
    """Return the text of an export file. Raises `CorpusError` if it cannot be read or is of another type."""

    def read(file: Path) -> str:
        text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        return "".join(format_messages(form.messages(text), sender, names))

    return [read_at_once(path, read)]


def order(name: str) -> str:
    """Return a file's sort key: its name, but with Facebook's numbered parts reversed, as the last is the oldest."""
    folder, slash, last = name.rpartition("/")
    part = _PART.match(last)
    return f"{folder}{slash}{part[1]}{10**9 - int(part[2]):010}" if part else name
