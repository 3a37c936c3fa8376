"""Server-sent events. Knows nothing about what happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


def event(data: Any, **fields: object) -> bytes:
    """Return an event: JSON in one line after the fields that it has, such as `id` and `event`."""
    lines = [f"{name}: {value}\n" for name, value in fields.items()]
    return "".join((*lines, "data: ", json.dumps(data, separators=(",", ":")), "\n\n")).encode("ascii")


class Events(StreamingResponse):
    """Sends events as they come. `close` is called at the end, which comes at once when the client hangs up.

    It comes too if the client takes more than `seconds` for all of it: it may be one that reads nothing.
    """

    def __init__(
        self,
        events: AsyncIterator[bytes],
        *,
        close: Callable[[], None] | None = None,
        seconds: float | None = None,
    ) -> None:
        # X-Accel-Buffering: or nginx would keep events back until there are many.
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
