"""Slow, disconnected, confused and hostile clients: the server handles them and keeps serving all others."""

from __future__ import annotations

import asyncio
import json
import re
import socket

import httpx
import pytest

from tests.serve.waiting import until

JSON = {"Content-Type": "application/json"}
LONG = {"model": "tiny", "prompt": "The ", "max_tokens": 4096, "n": 8, "logprobs": 5}


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def raw(server, *lines, body=b"", **headers):
    """Open a connection and send a complete or partial request."""
    connection = socket.create_connection(("127.0.0.1", server.port), 30)
    head = [*lines, f"Host: 127.0.0.1:{server.port}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    connection.sendall("\r\n".join(head).encode() + body)
    return connection


def asking(server, **settings):
    """Open a connection and request a completion, without reading the response."""
    body = json.dumps({**LONG, **settings}).encode()
    return raw(
        server,
        "POST /v1/completions HTTP/1.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        body=body,
    )


def running(http):
    """Return the number of running texts, read from the metrics."""
    return float(re.search(r"^numlstm_texts_running (.+)$", http.get("/metrics").text, re.MULTILINE)[1])


def joined(events):
    """Return the two texts of an event stream."""
    texts = ["", ""]
    for line in events.split(b"\n"):
        if line.startswith(b"data: {"):
            choice = json.loads(line[6:])["choices"][0]
            texts[choice["index"]] += choice["text"]
    return texts


async def slowly(app, engine, asked):
    """Request a stream, but take its second piece only after all texts are finished; return the pieces."""
    sent, waiting = [], [{"type": "http.request", "body": json.dumps(asked).encode(), "more_body": False}]

    async def receive():
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message):
        sent.append(message.get("body", b""))
        while len(sent) > 1 and engine.running:
            await asyncio.sleep(0.01)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    path = "/v1/completions"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await app({**scope, "headers": headers, "asgi": {"version": "3.0"}, "http_version": "1.1"}, receive, send)
    return sent


class TestGone:
    @pytest.mark.parametrize("stream", [False, True])
    def test_its_texts_are_dropped_at_once(self, serve, stream):
        server = serve(max_tokens=10_000_000)
        with httpx.Client(base_url=server.url, timeout=30) as http:
            connection = asking(server, max_tokens=10_000_000, stream=stream)
            until(lambda: running(http) == 8)
            if stream:
                connection.recv(1000)
            connection.close()
            until(lambda: running(http) == 0)  # uncancelled, they would run for minutes

    def test_in_the_middle_of_its_upload(self, server, http):
        data = (server.folder / "tiny.npz").read_bytes()
        with raw(server, "PUT /v1/models/half/file HTTP/1.1", f"Content-Length: {len(data)}", body=data[:1000]):
            until(lambda: len([*server.folder.iterdir()]) == 2)  # it is being received
        until(lambda: [path.name for path in server.folder.iterdir()] == ["tiny.npz"])
        assert http.get("/v1/models/half").status_code == 404

    def test_before_it_has_asked(self, server, http):
        for part in (b"", b"POST", b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(part)
        assert http.get("/health").status_code == 200


class TestSlow:
    def test_a_reader_holds_nobody_up_and_grows_no_memory(self, server, http):
        settings = {"n": 2, "max_tokens": 150, "seed": 1}
        whole = http.post("/v1/completions", json={**LONG, **settings}).json()["choices"]
        with asking(server, stream=True, **settings) as connection:
            until(lambda: running(http) == 0)  # generation finishes while other requests are answered
            found = b""
            while not found.endswith(b"[DONE]\n\n\r\n0\r\n\r\n"):
                found += connection.recv(100_000)
        assert joined(found) == [choice["text"] for choice in whole]

    def test_what_waits_for_it_is_sent_together(self, inside):
        """While the client does not read, new output collects in one pending piece per text."""
        client = inside()
        engine = client.app.state.engine
        asked = {**LONG, "n": 2, "max_tokens": 600, "seed": 1, "logprobs": None}
        whole = client.post("/v1/completions", json=asked).json()["choices"]
        sent = client.portal.call(slowly, client.app, engine, {**asked, "stream": True})
        assert joined(b"".join(sent)) == [choice["text"] for choice in whole]
        assert len(sent) < 20

    def test_a_writer_is_told(self, server):
        """Others are served while a request arrives slowly. The tests of the guards cover the timeout."""
        with raw(server, "POST /v1/completions HTTP/1.1", "Content-Type: application/json", "Content-Length: 99"):
            assert httpx.get(f"{server.url}/v1/models", timeout=30).status_code == 200


class TestConfused:
    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b"null", b'"text"', b"5", b"\xff\xfe", b'{"model": "tiny"', b"NaN", b"[" * 100_000,
         b'{"model": "tiny", "max_tokens": ' + b"9" * 5000 + b"}", b'{"model": "tiny", "prompt": "\\ud800"}',
         b'{"model": "tiny", "\\ud800": 1}', b'{"model": "tiny", "temperature": NaN}',
         b'{"model": "tiny", "temperature": 1e999}', b"\x00", b'{"model": {}}'],
    )  # fmt: skip
    def test_bad_json(self, http, body):
        answer = http.post("/v1/completions", content=body, headers=JSON)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert "\n" not in error["message"]
        assert len(error["message"]) < 500

    def test_json_of_another_type(self, http):
        answer = http.post("/v1/completions", content=json.dumps(LONG), headers={"Content-Type": "text/plain"})
        assert answer.status_code == 400
        assert "Content-Type: application/json" in answer.json()["error"]["message"]

    def test_an_address_that_is_not_there(self, http):
        answer = http.get("/v1/nothing")
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")

    def test_a_method_that_is_not_for_this(self, http):
        answer = http.patch("/v1/models")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET"
        assert "PATCH" in answer.json()["error"]["message"]

    def test_no_http(self, server, http):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        assert http.get("/health").status_code == 200


class TestHostile:
    def test_a_prompt_of_ten_megabytes(self, http):
        answer = http.post("/v1/completions", json={"model": "tiny", "prompt": "x" * 10_000_000})
        assert answer.status_code == 413
        assert "at most 4,194,304 bytes" in answer.json()["error"]["message"]

    def test_one_that_does_not_tell_its_size(self, server):
        """The client gets the 413 even though it sends its whole body before it reads."""
        with raw(
            server, "POST /v1/completions HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked"
        ) as connection:
            chunk = b"x" * 2**16
            for _ in range(160):
                connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 413")

    def test_a_prompt_that_is_too_long_for_a_body_that_is_not(self, http):
        answer = http.post("/v1/completions", json={"model": "tiny", "prompt": "e" * 1_000_000})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "the prompt has 1,000,000 tokens; expected at most 32,768"

    def test_more_texts_than_there_may_be(self, serve):
        server = serve(max_texts=4, max_tokens=10_000_000)
        with httpx.Client(base_url=server.url, timeout=30) as http:
            too_many = http.post("/v1/completions", json={"model": "tiny", "n": 5})
            assert too_many.status_code == 400
            with asking(server, n=3, max_tokens=10_000_000):
                until(lambda: running(http) == 3)
                answer = http.post("/v1/completions", json={"model": "tiny", "n": 2})
                assert answer.status_code == 429
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.json()["error"]["type"] == "rate_limit_error"
                until(lambda: running(http) == 3)  # neither of the two refused texts runs
                assert http.post("/v1/completions", json={"model": "tiny", "n": 1}).status_code == 200


class TestMetrics:
    def test_count_by_the_route_and_not_by_the_address(self, http):
        http.get("/v1/models/some-name")
        found = http.get("/metrics").text
        assert 'numlstm_requests_total{method="GET",route="/v1/models/{name}",status="404"}' in found
        assert "some-name" not in found

    def test_count_tokens_and_models(self, http):
        def count(name):
            return float(re.search(rf"^numlstm_{name} (.+)$", http.get("/metrics").text, re.MULTILINE)[1])

        before = [count("prompt_tokens_total"), count("completion_tokens_total"), count("first_token_seconds_count")]
        http.post("/v1/completions", json={"model": "tiny", "prompt": "The ", "max_tokens": 30, "n": 2})
        after = [count("prompt_tokens_total"), count("completion_tokens_total"), count("first_token_seconds_count")]
        assert [b - a for a, b in zip(before, after, strict=True)] == [8, 60, 1]
        assert count("models_loaded") >= 1
        assert count("models_bytes") > 1000
