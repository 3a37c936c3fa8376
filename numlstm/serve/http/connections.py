"""Connections that are hung up where no request comes to its end of headers; uvicorn waits for as long as it takes.

Knows nothing about requests that have begun: their bodies have a patience of their own (`guards.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection by HTTP/1.1 on which a request must be there, headers and all, after twice `patience` seconds."""

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
        if idle and self._seen == (self.cycle,):  # since the last look
            self.transport.close()
            return
        self._seen = (self.cycle,) if idle else None
        self._look_again()
