"""The texts that one client waits for: begun together, read as they come, and dropped together when it is gone.

Knows nothing about the form in which they are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from .engine import Engine, Loaded, Piece, Stream, Wanted
from .metrics import Metrics

_T = TypeVar("_T")


class Texts:
    """Texts under way; they are written until they are at their ends, or `close` is called.

    Raises `Refusal` if there is no room for all of them: then none is begun.
    """

    def __init__(self, engine: Engine, loaded: Loaded, wanted: Sequence[Wanted], metrics: Metrics) -> None:
        self._waited = metrics.clock()
        self.streams: list[Stream] = []
        try:
            for each in wanted:
                self.streams.append(engine.write(loaded, each))
                metrics.read.inc(self.streams[-1].usage.prompt_tokens)
        except BaseException:
            self.close()
            raise

    async def pieces(self) -> AsyncGenerator[tuple[int, Piece], None]:
        """Yield the pieces of all texts as they come, each with its text's place; raises `Refusal` if one fails."""
        waiting: dict[asyncio.Future[Piece], int] = {}
        try:
            waiting = {asyncio.ensure_future(_next(stream)): n for n, stream in enumerate(self.streams)}
            while waiting:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    n = waiting.pop(task)
                    with contextlib.suppress(StopAsyncIteration):
                        piece = task.result()
                        waiting[asyncio.ensure_future(_next(self.streams[n]))] = n
                        self._waited.first()
                        yield n, piece
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def close(self) -> None:
        """Drop what is not at its end, before its next token."""
        for stream in self.streams:
            stream.cancel()


async def _next(stream: Stream) -> Piece:
    return await anext(stream)


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T], close: Callable[[], None]) -> _T:
    """Return what the work returns; cancels it if the client hangs up, and raises `ClientDisconnect`.

    `close` is called in any case, at the end.
    """
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        close()
        for task in (working, listening):
            task.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
