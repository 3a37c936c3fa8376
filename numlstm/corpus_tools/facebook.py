"""Read the JSON of Facebook's "Download your information": conversations, posts and comments.

Facebook writes each byte of UTF-8 as a character of its own ("cafÃ©"); this is repaired.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..errors import CorpusError
from .messages import Message

# What Messenger itself writes in place of a message without words.
_OWN = re.compile(
    r"(?:You|[^\n]{1,60}) sent (?:an attachment|a (?:photo|video|sticker|GIF|link|voice message|live location))\.?"
    r"|Reacted .{1,20} to your message ?|[^\n]{1,60} (?:called you|missed (?:a|your) (?:call|video chat))\.?"
    r"|You are now connected on Messenger\.?"
)


def messages_of_facebook(text: str) -> Iterator[Message]:
    """Yield the messages of a conversation, oldest first, or the posts or comments of a list.

    Raises `CorpusError` if the text is neither.
    """
    found = json.loads(text)
    if isinstance(found, dict) and isinstance(found.get("messages"), list):
        yield from _conversation(found["messages"])
        return
    posts = _posts(found)
    if posts is None:
        raise CorpusError("it is not a Facebook export: there are neither messages nor posts in it")
    yield from posts


def fix_encoding(text: str) -> str:
    """Return a text whose characters are bytes of UTF-8 decoded, any other text unchanged."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _conversation(messages: list[Any]) -> Iterator[Message]:
    said = [message for message in messages if isinstance(message, dict)]
    for message in sorted(said, key=_time):
        name = message.get("sender_name") or message.get("senderName")  # senderName: in encrypted chats
        text = message.get("content") or message.get("text")
        unsent = message.get("is_unsent") or message.get("isUnsent")
        if isinstance(text, str) and isinstance(name, str) and not unsent and message.get("type") not in _NO_WORDS:
            text = fix_encoding(text)
            if not _OWN.fullmatch(text):
                yield Message(fix_encoding(name), text)


_NO_WORDS = ("Call", "Subscribe", "Unsubscribe", "placeholder")


def _time(message: dict[str, Any]) -> float:
    time = message.get("timestamp_ms", message.get("timestamp", 0))
    return time if isinstance(time, (int, float)) else 0


def _posts(found: Any) -> list[Message] | None:
    if isinstance(found, dict):  # {"status_updates": [...]}, {"comments_v2": [...]}
        found = next((value for value in found.values() if isinstance(value, list)), None)
    if not isinstance(found, list):
        return None
    entries = [entry for entry in found if isinstance(entry, dict) and ("data" in entry or "timestamp" in entry)]
    if found and not entries:
        return None
    return [post for entry in sorted(entries, key=_time) for post in _of_entry(entry)]


def _of_entry(entry: dict[str, Any]) -> Iterator[Message]:
    for data in entry.get("data") or []:
        if not isinstance(data, dict):
            continue
        comment = data.get("comment")
        if isinstance(data.get("post"), str):
            yield Message("", fix_encoding(data["post"]), post=True)
        elif isinstance(comment, dict) and isinstance(comment.get("comment"), str):
            yield Message(fix_encoding(str(comment.get("author") or "")), fix_encoding(comment["comment"]), post=True)
