"""The API of the text server that numlstm replaces: `GET /?inputText=...` answers `{"generated": ...}`.

Its clients keep working. Without any of its parameters `/` is the page.
"""

# No `from __future__ import annotations`: FastAPI could not resolve the annotations, which are local to `router`.
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from ...settings.sampling import SamplingSettings
from ..engine.engine import Engine, TextRequest
from ..engine.text_group import Texts, cancel_on_disconnect
from ..http.error_answers import refusals
from ..http.guards import TEXT_SERVER_PARAMS
from ..http.refusal import Refusal
from ..metrics import Metrics
from ..page.files import index
from ..server_settings import Settings
from ..stores.models import ModelStore

_PROBE, _HEALTHY = "test", "The test returned correctly!"
_ANSWER: dict[str, Any] = {
    "application/json": {
        "schema": {"type": "object", "properties": {"generated": {"type": "string"}}, "required": ["generated"]}
    },
    "text/html": {"schema": {"type": "string"}},
}


def router(settings: Settings, shelf: ModelStore, engine: Engine, metrics: Metrics) -> APIRouter:
    """Return the route `/` of the earlier text server and of the page."""
    routes = APIRouter(tags=["earlier"])
    Input = Annotated[
        str | None,
        Query(max_length=settings.max_prompt, description="The text to continue; `test` is a health check."),
    ]
    Name = Annotated[str | None, Query(max_length=200, description="The model; by default the one changed last.")]
    Length = Annotated[int, Query(ge=1, le=settings.max_tokens, description="Maximum number of tokens to write.")]
    Warmth = Annotated[float, Query(ge=0, le=2, allow_inf_nan=False, description="Sampling temperature.")]
    Seed = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="The same seed gives the same text.")]

    @routes.get(
        "/",
        response_class=JSONResponse,
        responses={**refusals(404, 422), 200: {"content": _ANSWER, "description": "The text, or the page."}},
    )
    async def generate(
        request: Request,
        inputText: Input = None,
        model: Name = None,
        outputLength: Length = 40,
        temperature: Warmth = 0.75,
        seed: Seed = None,
    ) -> Response:
        """Write a text as the earlier text server did. Without any of the parameters, return the page.

        Characters that the model does not know are dropped. An error has `generated: null` beside `error`.
        """
        if not TEXT_SERVER_PARAMS & {*request.query_params}:
            return index(request)
        if inputText == _PROBE:
            return JSONResponse({"generated": _HEALTHY})
        if not inputText:
            raise Refusal(400, "inputText is missing; give the text to continue", "missing", param="inputText")
        loaded = await engine.load(shelf.default() if model is None else model)
        config = SamplingSettings(
            length=outputLength, temperature=temperature, seed=secrets.randbelow(2**31) if seed is None else seed
        )
        texts = Texts(metrics)
        await texts.begin(engine, loaded, [TextRequest(inputText, config, drop_unknown=True)])
        return JSONResponse({"generated": await cancel_on_disconnect(request, _text(texts), texts.close)})

    return routes


async def _text(texts: Texts) -> str:
    return "".join([piece.text async for _, piece in texts.pieces()])
