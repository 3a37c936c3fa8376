"""Server-sent events: their encoding, and the streaming response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


def event(data: Any, **fields: object) -> bytes:
    """Return one encoded event: `fields`, such as `id` and `event`, then `data` as one line of JSON."""
    lines = [f"{name}: {value}\n" for name, value in fields.items()]
    return "".join((*lines, "data: ", json.dumps(data, separators=(",", ":")), "\n\n")).encode("ascii")


class Events(StreamingResponse):
    """Streaming response of events. `close` is called at its end, or as soon as the client disconnects.

    The stream is cut off after `seconds`, because a client may keep the connection open and never read.
    """

    def __init__(
        self,
        events: AsyncIterator[bytes],
        *,
        close: Callable[[], None] | None = None,
        seconds: float | None = None,
    ) -> None:
        # X-Accel-Buffering: nginx would buffer the events otherwise.
        super().__init__(events, headers={"X-Accel-Buffering": "no"}, media_type="text/event-stream")
        self._close, self._seconds = close, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.wait_for(super().__call__(scope, receive, send), self._seconds)
        except asyncio.TimeoutError:
            return
        finally:
            if self._close is not None:
                self._close()
