"""Connections without a complete request are closed after a timeout."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvicorn

from numlstm.serve.http.connections import Connection


async def app(scope: dict, receive: Callable[..., Awaitable[dict]], send: Callable[..., Awaitable[None]]) -> None:
    """Respond after the number of seconds in the path."""
    await asyncio.sleep(float(scope["path"][1:]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[int]:
    """Run a server that closes idle connections after 0.2 seconds; yield its port."""

    class Impatient(Connection):
        patience = 0.2

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Impatient, ws="none", lifespan="off", log_config=None))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def trickled(port: int, first: bytes = b"") -> float:
    """Send a header one byte at a time; return the seconds until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if first:
        writer.write(first)
        assert await reader.readuntil(b"ok")
    started, listening = time.monotonic(), asyncio.ensure_future(reader.read())
    writer.write(b"GET /0 HTTP/1.1\r\nHost: ")
    while not listening.done() and time.monotonic() - started < 20:
        with contextlib.suppress(OSError):
            writer.write(b"a")
        await asyncio.wait({listening}, timeout=0.05)
    assert listening.done()
    writer.close()
    return time.monotonic() - started


@pytest.mark.parametrize("first", [b"", b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["at once", "after a request"])
def test_headers_that_never_end(first: bytes) -> None:
    async def tried() -> float:
        async with served() as port:
            return await trickled(port, first)

    assert asyncio.run(tried()) >= 0.15


def test_an_answer_may_take_its_time() -> None:
    async def tried() -> bytes:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            found = await reader.read()
            writer.close()
            return found

    assert asyncio.run(tried()).endswith(b"ok")
