"""Server-sent events. Knows nothing about what happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


def event(data: Any, **fields: object) -> bytes:
    """Return an event: JSON in one line after the fields that it has, such as `id` and `event`."""
    lines = [f"{name}: {value}\n" for name, value in fields.items()]
    return "".join((*lines, "data: ", json.dumps(data, separators=(",", ":")), "\n\n")).encode("ascii")


class Events(StreamingResponse):
    """Sends events as they come. Whoever hangs up ends the generator that they come from at once.

    So does a client that takes more than `seconds` for all of it, if that is given: it may be one that reads nothing.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
    ) -> None:
        # X-Accel-Buffering: or nginx would keep events back until there are many.
        super().__init__(events, 200, {**(headers or {}), "X-Accel-Buffering": "no"}, "text/event-stream")
        self.events, self.seconds = events, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.wait_for(super().__call__(scope, receive, send), self.seconds)
        except asyncio.TimeoutError:
            return
        finally:
            await self.events.aclose()
