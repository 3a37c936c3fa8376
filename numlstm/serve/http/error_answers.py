"""Error responses, all in one JSON form, and their OpenAPI description."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from .refusal import Refusal

EVERYWHERE = (400, 401, 403, 408, 413, 429, 500, 503)  # statuses that middleware may send for any request

_WHAT = {
    400: "The request is invalid.",
    401: "The key is missing or wrong.",
    403: "Not allowed: a foreign origin or host, or a read-only server.",
    404: "Not found.",
    408: "The request's body arrived too slowly.",
    409: "It exists already, or is in use.",
    413: "The body or the prompt is too large.",
    422: "The file can't be used.",
    429: "Too many requests, texts or jobs; try again after the seconds in Retry-After.",
    500: "The server failed.",
    503: "Out of memory, out of time, or stopping; try again later, after the seconds in Retry-After if it is sent.",
    507: "The server's disk is full.",
}


class ErrorDetail(BaseModel):
    """An error: a one-line message, its type, the invalid field of the request, and a code for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """The body of every error response."""

    error: ErrorDetail


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII: errors quote requests, which may hold lone surrogates, and UTF-8 cannot encode those."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a route's error responses: `statuses` and those in `EVERYWHERE`.

    It references `schemas`. Given the model itself, FastAPI builds a validator for every route and status, which
    doubles the time it takes to create the application.
    """
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    return {status: {"description": _WHAT[status], "content": content} for status in (*EVERYWHERE, *statuses)}


def schemas() -> dict[str, Any]:
    """Return the schemas that `refusals` references, for OpenAPI's components."""
    found = ErrorAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**found.pop("$defs"), "ErrorAnswer": found}


def refused(refusal: Refusal, scope: Scope) -> Response:
    """Return the error response. At `/` it includes `generated`, which clients of the earlier text server look for."""
    earlier = {"generated": None} if scope["path"] == "/" else {}
    return AsciiJSONResponse({**earlier, **refusal.body()}, refusal.status, refusal.headers())


def add_handlers(app: FastAPI) -> None:
    """Add handlers that answer refusals, invalid requests and unknown paths in this form."""

    async def refuse(request: Request, error: Any) -> Response:
        return refused(error, request.scope)

    async def correct(request: Request, error: Any) -> Response:
        return refused(_invalid(error), request.scope)

    async def other(request: Request, error: Any) -> Response:
        known = {
            404: f"there is nothing at {request.url.path!r:.100}",
            405: f"{request.method} is not allowed at this address",
        }
        message = known.get(error.status_code) or str(error.detail).lower()
        answer = refused(Refusal(error.status_code, message, "http"), request.scope)
        if error.status_code == 405:
            answer.headers["Allow"] = ", ".join(_methods(app, request))
        return answer

    app.add_exception_handler(Refusal, refuse)
    app.add_exception_handler(RequestValidationError, correct)
    app.add_exception_handler(HTTPException, other)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """Return the methods allowed at an address, over all of its routes."""
    route = request.scope.get("route")
    described = app.openapi()["paths"].get(getattr(route, "path", ""), {})
    return [method.upper() for method in described] or sorted(getattr(route, "methods", None) or ["GET"])


def _invalid(error: RequestValidationError) -> Refusal:
    """Return a refusal that says in one line what is wrong with the first invalid field."""
    first, *more = error.errors()
    if first["type"] == "json_invalid":
        return Refusal(400, f"the body is not JSON: {first['ctx']['error']} at {first['loc'][-1]}", "invalid_json")
    path = first["loc"][1:2]
    field = str(path[0]) if path else None
    if field is None:
        return Refusal(400, "the body is not a JSON object; send one as Content-Type: application/json", "invalid_json")
    if first["type"] == "missing":
        return Refusal(400, f"{field} is missing", "missing", param=field)
    if first["type"] == "extra_forbidden":
        return Refusal(400, f"{field!r:.80} is not a known field", "unknown_field", param=field)
    said = [each["msg"] for each in (first, *more) if each["loc"][1:2] == path]
    expected = " or ".join(dict.fromkeys(line[0].lower() + line[1:] for line in said))
    found = repr(first["input"]) if isinstance(first["input"], (str, int, float, bool, type(None))) else "not valid"
    return Refusal(400, f"{field} is {found:.60}; {expected:.300}", "invalid_value", param=field)
