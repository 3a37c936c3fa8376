"""A message of a chat or a post, and a conversation written as text.

Knows nothing about the formats in which services hand them out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator


@dataclasses.dataclass(frozen=True)
class Message:
    """What somebody wrote; `post` is true where it stands for itself, and is no part of a conversation."""

    sender: str
    text: str
    post: bool = False


def written(messages: Iterable[Message], sender: str | None, names: bool) -> Iterator[str]:
    """Give the lines of messages: `Name: text` with `names`, else the text; posts with an empty line between.

    With `sender` only that one's, whether the name is written in capitals or not.
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
