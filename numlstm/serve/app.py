"""The ASGI application: routes, middleware and lifespan."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from .._version import __version__
from .api import completions, corpora, models, text_server
from .api import jobs as jobs_api
from .engine.engine import Engine
from .http.error_answers import add_handlers, refusals
from .http.guards import BodyLimit, ConcurrencyLimit, Keys, OriginGuard, SecurityHeaders
from .http.openapi import describe
from .jobs.job import STATES
from .jobs.job_list import Jobs
from .metrics import Measured, Metrics
from .page import files
from .server_settings import Settings
from .stores.models import ModelStore


def create_app(settings: Settings) -> FastAPI:
    """Return the application with these settings.

    The engine and the job queue run during its lifespan. Await `app.state.stop()` to end open texts and save the
    running job before the lifespan ends. Raises `BackendError` if the device does not work on this machine.
    """
    shelf, metrics = ModelStore(settings), Metrics()
    engine, jobs = Engine(settings, shelf.path), Jobs(settings, shelf)
    shelf.busy = lambda name: jobs.writing_to(name) is not None

    stopping = contextlib.AsyncExitStack()
    stopping.push_async_callback(jobs.close)
    stopping.callback(engine.close)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        shelf.sweep()
        engine.start()
        await jobs.start()
        try:
            yield
        finally:
            await stopping.aclose()

    app = FastAPI(
        title="numlstm",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.engine, app.state.stop = engine, stopping.aclose
    app.include_router(completions.router(settings, engine, metrics))
    app.include_router(models.router(shelf))
    app.include_router(text_server.router(settings, shelf, engine, metrics))
    app.include_router(corpora.router(jobs))
    app.include_router(jobs_api.router(jobs))
    metrics.watch_states("jobs", "Training jobs in each state.", STATES, jobs.count)
    _add_state(app, settings, engine, metrics)
    files.mount(app)
    add_handlers(app)
    _add_guards(app, settings, metrics)
    describe(app, settings)
    return app


def _add_state(app: FastAPI, settings: Settings, engine: Engine, metrics: Metrics) -> None:
    """Add the routes for health, metrics and the favicon."""
    engine.on_tokens = metrics.written.inc
    metrics.watch("texts_running", "Texts being written.", lambda: engine.running)
    metrics.watch("models_loaded", "Models in memory.", lambda: len(engine.memory.models))
    metrics.watch("models_bytes", "Memory of the loaded models, in bytes.", lambda: engine.memory.bytes)

    @app.head("/health", include_in_schema=False)
    @app.get("/health", tags=["state"], responses=refusals())
    async def health() -> dict[str, Any]:
        """Return the server's status and limits."""
        return {
            "status": "ok",
            "version": __version__,
            "key": bool(settings.api_key),
            "train": settings.train,
            "max_tokens": settings.max_tokens,
            "max_prompt": settings.max_prompt,
            "max_upload": settings.max_upload,
        }

    text = {"text/plain": {"schema": {"type": "string"}}}

    @app.get(
        "/metrics",
        tags=["state"],
        response_class=Response,
        responses={**refusals(), 200: {"content": text, "description": "Metrics in Prometheus's text format."}},
    )
    def counts() -> Response:
        """Return metrics of requests, latencies, texts, tokens, models and jobs for Prometheus."""
        return metrics.answer()

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return Response(status_code=204)


def _add_guards(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Add the middleware, innermost first."""
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(ConcurrencyLimit, most=2 * settings.max_texts + 64)
    app.add_middleware(Keys, key=settings.api_key)
    if settings.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
        )
    app.add_middleware(OriginGuard, settings=settings)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measured, metrics=metrics)
