"""Read the JSON that Telegram Desktop exports: one chat, or all chats of an account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import CorpusError
from .messages import Message


def messages_of_telegram(text: str) -> Iterator[Message]:
    """Yield the messages of an export; forwarded ones are left out, because others wrote them.

    Raises `CorpusError` if the text is not an export.
    """
    found = json.loads(text)
    chats = _chats(found) if isinstance(found, dict) else []
    if not chats:
        raise CorpusError("it is not a Telegram export: there are no messages in it")
    for chat in chats:
        for said in chat:
            if isinstance(said, dict) and said.get("type") == "message" and not said.get("forwarded_from"):
                yield Message(str(said.get("from") or "Deleted Account"), _plain(said.get("text", "")))


def _chats(found: dict[str, Any]) -> list[list[Any]]:
    """Return the message lists of one chat or of all chats."""
    listed = found.get("chats")
    chats = listed.get("list", []) if isinstance(listed, dict) else [found]
    return [chat["messages"] for chat in chats if isinstance(chat, dict) and isinstance(chat.get("messages"), list)]


def _plain(text: Any) -> str:
    """Return a message as plain text; its parts may be links, bold text and so on."""
    if isinstance(text, str):
        return text
    parts = text if isinstance(text, list) else []
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts if part)
