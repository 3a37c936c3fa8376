"""The figures of `benchmarks.serve`, checked against a server with known delays."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import threading

import pytest

from benchmarks import pictures, serve

WAIT = 0.02


async def answering(reader, writer):
    """Answer a completion request with one letter every `WAIT` seconds."""
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


@contextlib.contextmanager
def serving_here():
    """Context manager: serve from another thread of this process and yield the port."""
    loop, ports, ready, stop = asyncio.new_event_loop(), [], threading.Event(), asyncio.Event()

    async def main():
        async with await asyncio.start_server(answering, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[main()])
    thread.start()
    try:
        assert ready.wait(20)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def gen(monkeypatch):
    """Replace `numlstm gen`: it prints the prompt and the text in the returned list. Makes the server fast."""
    monkeypatch.setattr(sys.modules[__name__], "WAIT", 0.0005)
    written, run = ["aaa"], subprocess.run

    def stand_in(command, **options):
        if "gen" not in command:
            return run(command, **options)
        assert command[command.index("--length") + 1] == "3"
        return subprocess.CompletedProcess(command, 0, serve.PROMPT + written[0], "")

    monkeypatch.setattr(subprocess, "run", stand_in)
    return written


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
    assert all(wait >= (5 * n + 1) * WAIT for n, wait in enumerate(waits)), "clients wait for earlier ones to finish"


def test_an_answer_that_is_too_short_is_no_result():
    with pytest.raises(RuntimeError, match="4 characters came"):
        crowd(14, 5, together=True)


def test_percentiles():
    seconds = [n / 1000 for n in range(1, 201)]
    assert serve.percentiles(seconds[::-1]) == {"50": 100.0, "99": 198.0, "100": 200.0}
    assert serve.percentiles([0.5]) == {"50": 500.0, "99": 500.0, "100": 500.0}


def test_the_script_measures_both_ways_of_serving(run_script, monkeypatch, gen, tmp_path):
    monkeypatch.setattr(serve, "serving", serving_here)
    monkeypatch.setattr(serve, "STREAMS", (1, 3))
    monkeypatch.setattr(pictures, "draw_if_possible", lambda path: None)
    printed = run_script(serve, "--length", "3", "--rounds", "2", "--alone-rounds", "1", "-o", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert found["verification"] == {"texts": 3, "same_alone_and_together": True, "same_as_gen": True}
    assert list(found["runs"]) == ["1", "3"]
    for ways in found["runs"].values():
        assert [len(ways[way]["characters_per_second"]["rounds"]) for way in (serve.TOGETHER, serve.ALONE)] == [2, 1]
        assert len(ways["times_as_fast"]["rounds"]) == 1
    assert printed.count(serve.ALONE) == 2


def test_a_quick_run_is_one_round(run_script, monkeypatch, gen):
    monkeypatch.setattr(serve, "serving", serving_here)
    monkeypatch.setattr(serve, "STREAMS", (1,))
    assert "nothing written" in run_script(serve, "--length", "3", "--quick")


def test_a_text_that_gen_does_not_write_is_refused(gen):
    gen[0] = "aab"
    with serving_here() as port, pytest.raises(RuntimeError, match="the server writes 'aaa' and gen 'ROMEO:aab'"):
        serve.verify(port, 3, 3)


def test_texts_that_are_all_the_same_are_refused(gen, monkeypatch):
    same = serve.request(0, 3)
    monkeypatch.setattr(serve, "request", lambda seed, length: same)
    with serving_here() as port, pytest.raises(RuntimeError, match="texts differ from those written alone"):
        serve.verify(port, 3, 3)


def test_a_server_that_does_not_start(monkeypatch):
    class NotStarted:
        def __init__(self, command, **options):
            self.stderr = io.StringIO("numlstm: no port is free\n")

        def terminate(self): ...

        def wait(self, seconds): ...

    monkeypatch.setattr(subprocess, "Popen", NotStarted)
    with pytest.raises(RuntimeError, match="the server did not start: numlstm: no port is free"), serve.serving():
        pass


def test_texts_that_come_in_one_piece_have_no_gaps():
    whole = ([0.5], [serve.Heard(first=0.2, gaps=[], whole=0.3, text="x" * 60)])
    told = serve._told(1, 60, dict.fromkeys((serve.TOGETHER, serve.ALONE), whole))
    assert told[serve.TOGETHER]["between_ms"] == {"50": 0.0, "99": 0.0, "100": 0.0}
    assert told[serve.TOGETHER]["characters_per_piece"] == 60


@pytest.mark.slow
def test_a_quick_run_of_the_server_itself(run_script, tmp_path):
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    run_script(serve, "--quick", "--length", "100", "-o", tmp_path / "r.json")
    runs = json.loads((tmp_path / "r.json").read_text("utf-8"))["runs"]
    assert list(runs) == ["1", "10", "100"]
