"""The OpenAPI description, `GET /openapi.json`: FastAPI's, corrected where this server differs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ..server_settings import Settings
from .error_answers import schemas

_ABOUT = """Train recurrent language models on your own texts and write with them.

`POST /v1/completions` and `GET /v1/models` follow OpenAI's API. For a character-level model, a token is one
character. Every error has the form `{"error": {"message", "type", "param", "code"}}`."""
_OPEN, _PARTLY_OPEN = ("/health",), ("/",)  # paths that need no key; at `/` the page needs none, the text server does


def describe(app: FastAPI, settings: Settings) -> None:
    """Set the application's OpenAPI description."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
            app.openapi_schema = _corrected(found, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _corrected(found: dict[str, Any], settings: Settings) -> dict[str, Any]:
    components = found.setdefault("components", {})
    for name in ("HTTPValidationError", "ValidationError"):  # this server answers 400, in its own form
        components.get("schemas", {}).pop(name, None)
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **schemas()}.items()))
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            if "HTTPValidationError" in str(answers.get("422")):
                del answers["422"]
            if path not in _OPEN:
                optional = not settings.api_key or path in _PARTLY_OPEN
                operation["security"] = [*([{}] if optional else []), {"key": []}]
    return found
