"""Access checks, response headers, and limits on request bodies and concurrency."""

from __future__ import annotations

import asyncio
import re

import pytest

from numlstm.serve.http import guards
from numlstm.serve.http.guards import BodyLimit, ConcurrencyLimit, SecurityHeaders
from numlstm.serve.server_settings import Settings

TEXT = {"model": "tiny", "prompt": "The "}


@pytest.fixture
def client(shared):
    return shared


class TestHeaders:
    @pytest.mark.parametrize("path", ["/", "/page/main.js", "/health", "/v1/models", "/v1/nothing", "/metrics"])
    def test_are_on_every_answer(self, client, path):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("no-cache" if path in ("/", "/page/main.js") else "no-store")

    def test_are_on_refusals_of_guards_too(self, client):
        answer = client.get("/health", headers={"Host": "evil.example"})
        assert answer.status_code == 403
        assert "content-security-policy" in answer.headers


class TestUnexpected:
    """An unexpected error is logged with its cause; the client only learns that the server failed."""

    @pytest.fixture
    def failing(self, inside, monkeypatch):
        client = inside()

        async def fail(name):
            raise ZeroDivisionError("secret /path/of/the/server")

        monkeypatch.setattr(client.app.state.engine, "load", fail)
        return client

    def test_is_one_line(self, failing, caplog):
        answer = failing.post("/v1/completions", json=TEXT)
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "server_error"
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert "content-security-policy" in answer.headers
        assert "secret" in caplog.text  # the operator sees the cause


class TestHosts:
    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST", "127.1.2.3"]
    )
    def test_of_this_machine_are_answered(self, client, host):
        assert client.get("/v1/models", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "", "[::", "127.0.0.1@evil.example", "0.0.0.0"]
    )
    def test_others_are_refused_without_a_key(self, client, host):
        answer = client.get("/v1/models", headers={"Host": host})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "foreign_host"

    def test_that_of_an_allowed_origin_is_answered(self, inside):
        """A proxy forwards the Host header of its clients."""
        client = inside(allow_origins=("https://text.example",))
        own = {"Host": "text.example", "Origin": "https://text.example"}
        assert client.get("/v1/models", headers=own).status_code == 200
        assert client.get("/v1/models", headers={"Host": "other.example"}).status_code == 403

    def test_others_are_answered_where_there_is_a_key(self, inside):
        client = inside(api_key="k")
        assert client.get("/health", headers={"Host": "text.example"}).status_code == 200


class TestOrigins:
    def test_its_own_page_is_answered(self, client):
        own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
        assert client.get("/v1/models", headers=own).status_code == 200

    def test_its_own_page_behind_a_proxy_that_does_tls(self, inside):
        client = inside(api_key="k")
        own = {"Origin": "https://text.example", "Host": "text.example", "Authorization": "Bearer k"}
        assert client.get("/v1/models", headers=own).status_code == 200

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "http://127.0.0.1:9000", "null", "http://localhost:8000", "", "http://[::"]
    )
    def test_others_are_refused(self, client, origin):
        answer = client.post("/v1/completions", json=TEXT, headers={"Origin": origin})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "foreign_origin"
        assert "access-control-allow-origin" not in answer.headers

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_what_another_page_embeds_is_refused(self, client, site):
        """The request for an embedded image, for example, has no Origin header."""
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert client.get("/?inputText=test", headers=headers).status_code == 403

    def test_a_link_from_another_page_is_followed(self, client):
        assert (
            client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200
        )

    def test_others_may_be_let_in(self, inside):
        client = inside(allow_origins=("https://friend.example",), api_key="k")
        friend = {"Origin": "https://friend.example"}
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        before = client.options("/v1/completions", headers={**friend, **asked})
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == "https://friend.example"
        assert "authorization" in before.headers["access-control-allow-headers"].lower()
        answer = client.post("/v1/completions", json=TEXT, headers={**friend, "Authorization": "Bearer k"})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://friend.example"
        # The other origin can read refusals, too.
        assert (
            client.get("/v1/models", headers=friend).headers["access-control-allow-origin"] == "https://friend.example"
        )
        assert client.get("/v1/models", headers={"Origin": "https://foe.example"}).status_code == 403


class TestKeys:
    @pytest.mark.parametrize(
        "given",
        [
            None,
            "",
            "Bearer",
            "Bearer wrong",
            "Bearer the-right-onee",
            "Bearer the-right-on",
            "Basic the-right-one",
            "the-right-one",
            "Bearer schlüssel",
        ],
    )
    @pytest.mark.parametrize(
        "path", ["/v1/models", "/metrics", "/?inputText=test", "/?seed=", "/v1/nothing", "/nothing"]
    )
    def test_are_asked_for(self, locked, path, given):
        headers = {} if given is None else {"Authorization": given.encode("latin-1")}
        answer = locked.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["type"] == "authentication_error"
        assert "the-right-one" not in answer.text

    @pytest.mark.parametrize("given", ["Bearer the-right-one", "bearer the-right-one", "Bearer  the-right-one "])
    def test_let_in(self, locked, given):
        assert locked.get("/v1/models", headers={"Authorization": given}).status_code == 200

    @pytest.mark.parametrize("path", ["/", "/page/main.js", "/health", "/openapi.json", "/favicon.ico"])
    def test_are_not_asked_for_by_the_page(self, locked, path):
        assert locked.get(path).is_success

    def test_are_compared_before_a_body_is_read(self, locked):
        answer = locked.post("/v1/completions", content=b"x" * (5 << 20))
        assert answer.status_code == 401


class Asked:
    """An application behind a guard that records the request bodies it receives."""

    def __init__(self):
        self.bodies = []

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def request(guard, pieces, method="POST", headers=(), path="/v1/x"):
    """Send a guard a request in `pieces` of (pause in seconds, bytes); return the response's status and body."""
    sent, waiting = [], list(pieces)

    async def receive():
        if not waiting:
            await asyncio.sleep(60)
        pause, piece = waiting.pop(0)
        await asyncio.sleep(pause)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "query_string": b""}
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


class TestBodies:
    @pytest.fixture
    def app(self):
        return Asked()

    @pytest.fixture
    def guard(self, app):
        return BodyLimit(app, Settings(max_body=10, max_upload=20))

    def test_come_in_one_piece(self, app, guard):
        assert request(guard, [(0, b"01234"), (0, b"56789")])[0] == 200
        assert app.bodies == [b"0123456789"]

    def test_that_are_announced_as_too_large_are_not_read(self, app, guard):
        status, body = request(guard, [(0, b"")], headers=[(b"content-length", b"11")])
        assert status == 413
        assert b"at most 10 bytes" in body
        assert app.bodies == []

    @pytest.mark.parametrize("length", [b"9" * 5000, b"-1", b"1e1", "²".encode("latin-1")])
    def test_of_an_odd_length_are_refused(self, app, guard, length):
        assert request(guard, [(0, b"")], headers=[(b"content-length", length)])[0] == 413
        assert app.bodies == []

    def test_that_are_too_large_without_saying_so_are_not_read_further(self, app, guard):
        assert request(guard, [(0, b"01234"), (0, b"56789"), (0, b"0"), (0, b"1")])[0] == 413
        assert app.bodies == []

    def test_of_uploads_may_be_larger(self, app, guard):
        assert request(guard, [(0, b"0" * 20)], "PUT")[0] == 200

    def test_that_come_too_slowly_are_not_waited_for(self, app, guard, monkeypatch):
        monkeypatch.setattr(guards, "_PATIENCE", 0.2)
        monkeypatch.setattr(guards, "_DRAINING", 0.01)
        status, body = request(guard, [(0.06, b"0")] * 9)
        assert status == 408
        assert re.search(rb"too slowly: [0-8] bytes so far", body)  # the number depends on the load of the machine
        assert app.bodies == []

    def test_whose_client_hangs_up_reach_nobody(self, app, guard):
        assert request(guard, [(0, b"0"), (0, None)])[0] == 200
        assert app.bodies == [b""]  # the application sees the disconnect


def test_a_crowd_is_refused_and_the_next_one_is_not():
    entered, leave = [], asyncio.Event()

    async def wait(scope, receive, send):
        entered.append(scope["path"])
        await leave.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(guard, path):
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        await guard({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"])

    async def crowd():
        guard = ConcurrencyLimit(wait, 2)
        first = [asyncio.ensure_future(ask(guard, f"/{n}")) for n in range(2)]
        await asyncio.sleep(0)
        health = asyncio.ensure_future(ask(guard, "/health"))
        status, headers = await ask(guard, "/2")
        leave.set()
        assert [each[0] for each in await asyncio.gather(*first, health)] == [200] * 3
        assert status == 429
        assert headers[b"retry-after"] == b"1"
        assert (await ask(guard, "/3"))[0] == 200

    asyncio.run(crowd())
    assert entered == ["/0", "/1", "/health", "/3"]


def test_half_of_an_answer_is_not_made_to_look_whole():
    async def fail(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # the server then drops the connection
        request(SecurityHeaders(fail), [(0, b"")])


def test_the_health_is_told_to_those_who_want_no_body(client):
    answer = client.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")
