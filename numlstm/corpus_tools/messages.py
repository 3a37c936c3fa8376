"""Messages of chats and posts, and how a conversation is written as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator


@dataclasses.dataclass(frozen=True)
class Message:
    """A message; `post` is true if it stands alone and is not part of a conversation."""

    sender: str
    text: str
    post: bool = False


def format_messages(messages: Iterable[Message], sender: str | None, names: bool) -> Iterator[str]:
    """Yield the lines of messages: `Name: text` with `names`, else the text; posts are separated by empty lines.

    With `sender`, yield only that person's messages; the case of the name is ignored.
    """
    wanted = None if sender is None else " ".join(sender.split()).casefold()
    before: Message | None = None
    for message in messages:
        text = message.text.strip()
        if not text or (wanted is not None and " ".join(message.sender.split()).casefold() != wanted):
            continue
        if before is not None and (before.post or message.post):
            yield "\n"
        before = message
        yield f"{message.sender}: {text}\n" if names and message.sender else f"{text}\n"
