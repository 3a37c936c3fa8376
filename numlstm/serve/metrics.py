"""Prometheus metrics: requests, latencies, texts, tokens, models and jobs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self.requests = Counter("numlstm_requests", "Requests answered.", labels, registry=registry)
        self.seconds = Histogram(
            "numlstm_request_seconds", "Time to the end of a response.", ("route",), registry=registry, buckets=_SECONDS
        )
        self.first = Histogram(
            "numlstm_first_token_seconds", "Time to the first piece of a text.", registry=registry, buckets=_SECONDS
        )
        self.read = Counter("numlstm_prompt_tokens", "Prompt tokens read.", registry=registry)
        self.written = Counter("numlstm_completion_tokens", "Tokens written.", registry=registry)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is read at every scrape."""
        Gauge(f"numlstm_{name}", text, registry=self.registry).set_function(value)

    def watch_states(
        self, name: str, text: str, states: Sequence[str], counts: Callable[[], Mapping[str, int]]
    ) -> None:
        """Add a gauge with one value per state, read at every scrape."""
        gauge = Gauge(f"numlstm_{name}", text, ("state",), registry=self.registry)
        for state in states:
            gauge.labels(state).set_function(functools.partial(lambda state: counts().get(state, 0), state))

    def clock(self) -> Clock:
        """Return a clock that starts now and stops at the first piece of a text."""
        return Clock(self.first)

    def answer(self) -> Response:
        """Return all metrics in Prometheus's text format."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class Clock:
    """Measures the time to the first piece of a text."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram, self._began = histogram, time.perf_counter()
        self._struck = False

    def first(self) -> None:
        """Record the time at the first call; ignore later calls."""
        if not self._struck:
            self._struck = True
            self._histogram.observe(time.perf_counter() - self._began)


class Measured:
    """ASGI middleware that counts and times requests by route template, because paths are unbounded."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, began = 0, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self.metrics.requests.labels(route, method, str(status or "gone")).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - began)
