"""ASGI middleware: security headers, access checks, and limits on requests and their bodies."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..server_settings import Settings, is_loopback
from .error_answers import refused
from .refusal import Refusal

TEXT_SERVER_PARAMS = frozenset(
    {"inputText", "model", "outputLength", "temperature", "seed"}
)  # parameters of the text server

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_PATIENCE = 20.0  # timeout for a request body, in seconds, plus 1 s per _LEAST_SPEED bytes received
_LEAST_SPEED = 8192  # bytes per second
_DRAINED = 2**24  # bytes to read of a refused body, because some clients read the response only after sending it all
_DRAINING = 2.0  # seconds to spend reading it

_log = logging.getLogger("numlstm.serve")


class SecurityHeaders:
    """Sets the security headers on every response, and answers an unexpected error with one line, not a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sealed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, sealed)
        except (ClientDisconnect, asyncio.CancelledError):  # the client is gone, or the server is stopping
            return
        except Exception:
            if started:
                raise  # closes the connection, so that a partial response is not taken for a complete one
            _log.exception("%s %s failed", scope["method"], scope["path"])
            failed = Refusal(500, "the server failed; see its log", "internal_error")
            await refused(failed, scope)(scope, receive, sealed)


class OriginGuard:
    """Refuses requests from pages of other origins and, without a key, for hosts other than this machine.

    Otherwise any web page could train and write here through its visitor's browser. A page whose name resolves to this
    machine (DNS rebinding) would even have the same origin.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.hosts = {urlsplit(origin).netloc.lower() for origin in settings.allow_origins}  # such as a reverse proxy's

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._stranger(Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await _refuse(refusal, scope, receive, send)

    def _stranger(self, headers: Headers) -> Refusal | None:
        host = headers.get("host", "")
        if not (self.settings.api_key or is_loopback(_hostname(host)) or host.lower() in self.hosts):
            return Refusal(
                403,
                f"the request is for the host {host!r:.80}; without a key the server accepts only local names; "
                "use http://127.0.0.1, or start the server with --api-key, or with --allow-origin for that host",
                "foreign_host",
            )
        origin, allowed = headers.get("origin"), self.settings.allow_origins
        if origin in allowed or "*" in allowed:
            return None
        ours = origin is None or origin.partition("://")[2].lower() == host.lower()
        # Images and scripts embedded in another page come without Origin, but browsers send Sec-Fetch-Site.
        embedded = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if ours and not (embedded and origin is None and headers.get("sec-fetch-mode") != "navigate"):
            return None
        who = "another page" if origin is None else f"a page of {origin!r:.80}"
        return Refusal(403, f"request from {who}; start the server with --allow-origin to allow it", "foreign_origin")


class Keys:
    """Requires the server's key, if it has one, except for the requests that `_is_open` allows."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app, self.key = app, key.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.key or _is_open(scope) or self._fits(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        refusal = Refusal(401, "the key is missing or wrong; send Authorization: Bearer KEY", "invalid_api_key")
        await _refuse(refusal, scope, receive, send)

    def _fits(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self.key)


class ConcurrencyLimit:
    """Limits concurrent requests, each of which may hold a body in memory. `/health` and `/metrics` are exempt."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most, self.inside = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ("/health", "/metrics"):
            await self.app(scope, receive, send)
            return
        if self.inside >= self.most:
            refusal = Refusal(429, f"{self.inside} requests are in progress; try again", "too_many", retry_after=1)
            await _refuse(refusal, scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1


class BodyLimit:
    """Refuses request bodies that are too large or arrive too slowly.

    Uploads (PUT) are streamed to the application. Any other body is read in full before the application is called.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, self.settings.max_upload if scope["method"] == "PUT" else self.settings.max_body)
        try:
            body.expect(Headers(scope=scope).get("content-length"))
            if scope["method"] != "PUT":
                await body.gather()
        except Refusal as refusal:
            await _refuse(refusal, scope, receive, send, drain=not body.ended)
            return
        await self.app(scope, body.receive, send)


class _Body:
    """A request body, counted and timed as it arrives."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self.most = receive, most
        self.began, self.size, self.ended = time.monotonic(), 0, False
        self.gathered: Message | None = None

    def expect(self, length: str | None) -> None:
        """Raise `Refusal` if the Content-Length is too large or not a number."""
        if length is not None and (not length.isdecimal() or int(length[:20]) > self.most):
            self._too_large()

    async def gather(self) -> None:
        """Read the whole body, to be returned by the next `receive` as one message."""
        pieces = []
        while not self.ended:
            message = await self.receive()
            if message["type"] != "http.request":
                self.gathered = message
                return
            pieces.append(message.get("body", b""))
        self.gathered = {"type": "http.request", "body": b"".join(pieces), "more_body": False}

    async def receive(self) -> Message:
        if self.gathered is not None:
            message, self.gathered = self.gathered, None
            return message
        if self.ended:
            return await self._receive()
        left = self.began + _PATIENCE + self.size / _LEAST_SPEED - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.001))
        except asyncio.TimeoutError:
            raise Refusal(408, f"the body arrived too slowly: {self.size} bytes so far; resend it", "slow") from None
        self.size += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        if self.size > self.most:
            self._too_large()
        return message

    def _too_large(self) -> None:
        raise Refusal(413, f"the body is too large; expected at most {self.most:,} bytes", "too_large")


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send, *, drain: bool = True) -> None:
    """Send the refusal. With `drain`, read on before closing, so that a client that is still sending receives it."""
    answer = refused(refusal, scope)
    if not drain:
        await answer(scope, receive, send)
        return
    answer.headers["Connection"] = "close"

    async def send_then_drain(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await _drain(receive)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    await answer(scope, receive, send_then_drain)


async def _drain(receive: Receive) -> None:
    async def read() -> None:
        size = 0
        while size < _DRAINED:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body", False):
                return

    try:
        await asyncio.wait_for(read(), _DRAINING)
    except asyncio.TimeoutError:
        return


def _is_open(scope: Scope) -> bool:
    """Return True if a request needs no key: the page (which asks for it), its files, the health check and OpenAPI."""
    path = scope["path"]
    if path == "/":
        return not any(
            name in TEXT_SERVER_PARAMS for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), True)
        )
    return path in ("/health", "/openapi.json", "/favicon.ico", "/page") or path.startswith("/page/")


def _hostname(host: str) -> str:
    """Return the name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
