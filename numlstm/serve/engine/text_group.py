"""The texts that one client waits for: begun together, read as they come, and dropped together when it is gone.

Knows nothing about the form in which they are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from ..metrics import Metrics
from .engine import Engine, Loaded, Piece, Stream, Wanted

_T = TypeVar("_T")


class Texts:
    """Texts under way; they are written until they are at their ends, or `close` is called."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics, self._waited = metrics, metrics.clock()
        self.streams: list[Stream] = []

    async def begin(self, engine: Engine, loaded: Loaded, wanted: Sequence[Wanted]) -> None:
        """Begin to write texts; raises `Refusal` if there is no room for all of them: then none goes on."""
        try:
            for each in wanted:
                self.streams.append(engine.write(loaded, each))
                self._metrics.read.inc(self.streams[-1].usage.prompt_tokens)
                await asyncio.sleep(0)  # others' turn: a prompt may be long
        except BaseException:
            self.close()
            raise

    async def pieces(self) -> AsyncGenerator[tuple[int, Piece], None]:
        """Yield the pieces of all texts as they come, each with its text's place; raises `Refusal` if one fails."""
        if len(self.streams) == 1:  # what follows would cost as much as all the rest of sending a piece
            async for piece in self.streams[0]:
                self._waited.first()
                yield 0, piece
            return
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
