"""Read what Telegram Desktop exports as JSON: one chat, or all of an account's.

Knows nothing about files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import CorpusError
from .messages import Message


def messages_of_telegram(text: str) -> Iterator[Message]:
    """Give the messages of an export; those that were forwarded, which others wrote, are left out.

    Raises `CorpusError` if it is none.
    """
    found = json.loads(text)
    chats = _chats(found) if isinstance(found, dict) else []
    if not chats:
        raise CorpusError("it is no export of Telegram's: there are no messages in it")
    for chat in chats:
        for said in chat:
            if isinstance(said, dict) and said.get("type") == "message" and not said.get("forwarded_from"):
                yield Message(str(said.get("from") or "Deleted Account"), _plain(said.get("text", "")))


def _chats(found: dict[str, Any]) -> list[list[Any]]:
    """Return the lists of messages, those of one chat or of all."""
    listed = found.get("chats")
    chats = listed.get("list", []) if isinstance(listed, dict) else [found]
    return [chat["messages"] for chat in chats if isinstance(chat, dict) and isinstance(chat.get("messages"), list)]


def _plain(text: Any) -> str:
    """Return a text of which parts may be links, bold and so on."""
    if isinstance(text, str):
        return text
    parts = text if isinstance(text, list) else []
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts if part)
