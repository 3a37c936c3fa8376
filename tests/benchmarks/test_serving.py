"""What the benchmark of serving counts, against a server that takes known times."""

from __future__ import annotations

import asyncio
import json

import pytest

from benchmarks import serve

WAIT = 0.02


async def answering(reader, writer):
    """Answer a request for a text with a letter after each wait."""
    head = await reader.readuntil(b"\r\n\r\n")
    asked = json.loads(await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])))
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(asked["max_tokens"] - (asked["seed"] == 13)):
        await asyncio.sleep(WAIT)
        writer.write(b"data: " + json.dumps({"id": "x", "choices": [{"text": "abc"[asked["seed"] % 3]}]}).encode())
        writer.write(b"\n\n")
    writer.write(b"data: [DONE]\n\n")
    writer.close()
    await writer.wait_closed()


def crowd(streams, length, *, together):
    async def main():
        async with await asyncio.start_server(answering, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await serve.crowd(port, streams, length, together=together)

    return asyncio.run(main())


def test_clients_that_come_together_and_one_at_a_time():
    seconds, heard = crowd(4, 5, together=True)
    assert 5 * WAIT <= seconds < 2 * 5 * WAIT + 1
    assert [each.text for each in heard] == ["aaaaa", "bbbbb", "ccccc", "aaaaa"]
    assert all(WAIT <= each.first <= each.whole <= seconds for each in heard)
    assert all(len(each.gaps) == 4 and min(each.gaps) > WAIT / 10 for each in heard)
    seconds, heard = crowd(4, 5, together=False)
    assert seconds >= 4 * 5 * WAIT
    waits = sorted(each.first for each in heard)
    assert all(wait >= (5 * n + 1) * WAIT for n, wait in enumerate(waits)), "who comes later waits for the others' ends"


def test_an_answer_that_is_too_short_is_no_result():
    with pytest.raises(RuntimeError, match="4 characters came"):
        crowd(14, 5, together=True)


def test_percentiles():
    seconds = [n / 1000 for n in range(1, 201)]
    assert serve.percentiles(seconds[::-1]) == {"50": 100.0, "99": 198.0, "100": 200.0}
    assert serve.percentiles([0.5]) == {"50": 500.0, "99": 500.0, "100": 500.0}
