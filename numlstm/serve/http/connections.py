"""A timeout for request headers: uvicorn waits for them without limit.

Request bodies have a timeout of their own, in `guards.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """An HTTP/1.1 connection, closed if complete request headers have not arrived after 2 * `patience` seconds."""

    patience = 20.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seen: Any = None
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._timer = self.loop.call_later(self.patience, self._look)

    def _look(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._seen == (self.cycle,):  # nothing happened since the last look
            self.transport.close()
            return
        self._seen = (self.cycle,) if idle else None
        self._look_again()
