"""The texts of one request: started together, read as they arrive, and cancelled together if the client is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from ..metrics import Metrics
from .engine import Engine, Loaded, Piece, Stream, TextRequest

_T = TypeVar("_T")


class Texts:
    """Texts being written, until each ends or `close` is called."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics, self._waited = metrics, metrics.clock()
        self.streams: list[Stream] = []

    async def begin(self, engine: Engine, loaded: Loaded, wanted: Sequence[TextRequest]) -> None:
        """Start the texts. Raises `Refusal` if there is no room for all of them, and then cancels those started."""
        try:
            for each in wanted:
                self.streams.append(engine.write(loaded, each))
                self._metrics.read.inc(self.streams[-1].usage.prompt_tokens)
                await asyncio.sleep(0)  # let other tasks run: encoding a long prompt takes time
        except BaseException:
            self.close()
            raise

    async def pieces(self) -> AsyncGenerator[tuple[int, Piece], None]:
        """Yield (index of the text, piece) as pieces arrive. Raises `Refusal` if a text fails."""
        if len(self.streams) == 1:  # the general case below costs as much as everything else in sending a piece
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
        """Cancel the texts that have not ended, each before its next token."""
        for stream in self.streams:
            stream.cancel()


async def _next(stream: Stream) -> Piece:
    return await anext(stream)


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, _T], close: Callable[[], None]) -> _T:
    """Return the result of `work`. If the client disconnects, cancel it and raise `ClientDisconnect`.

    `close` is always called at the end.
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
