"""Read the outbox of a Mastodon archive (`outbox.json`): the user's own posts, with HTML converted to text.

Boosts are left out, because others wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import CorpusError
from .markup import text_of_markup
from .messages import Message


def messages_of_mastodon(text: str) -> Iterator[Message]:
    """Yield the posts of an outbox in order, each after its content warning.

    Raises `CorpusError` if the text is not an outbox.
    """
    found = json.loads(text)
    items = found.get("orderedItems") if isinstance(found, dict) else None
    if not isinstance(items, list):
        raise CorpusError("it is not a Mastodon outbox: it has no orderedItems; give the archive's outbox.json")
    for item in items:
        post = item.get("object") if isinstance(item, dict) and item.get("type") == "Create" else None
        if isinstance(post, dict) and isinstance(post.get("content"), str):
            yield Message(_name(post), _plain(post), post=True)


def _plain(post: dict[str, Any]) -> str:
    warning = post.get("summary")
    text = text_of_markup(post["content"]).strip("\n")
    return f"{warning.strip()}\n\n{text}" if isinstance(warning, str) and warning.strip() else text


def _name(post: dict[str, Any]) -> str:
    """Return the last part of the author's URL: `anna` for https://place/users/anna."""
    return str(post.get("attributedTo") or "").rstrip("/").rpartition("/")[2].removeprefix("@")
