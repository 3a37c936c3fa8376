"""OpenAI's completions API: `POST /v1/completions`, answered in one response or as server-sent events."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from ..._version import __version__
from ...errors import CorpusError
from ...settings.sampling import SamplingSettings
from ...text.vocab.base import Vocab
from ..engine.engine import Engine, Loaded, Piece, TextRequest, Token
from ..engine.text_group import Texts, cancel_on_disconnect
from ..http.error_answers import refusals
from ..http.refusal import Refusal
from ..http.server_sent_events import Events, event
from ..metrics import Metrics
from ..server_settings import Settings
from .schemas import Completion, CompletionRequest, completion_request

_LEAST = -9999.0  # sent for a log-probability of -inf, which JSON cannot hold
_GRACE = 60.0  # extra seconds for a client to read the end of a stream
_NAMED = 10  # unknown characters that an error lists


def router(settings: Settings, engine: Engine, metrics: Metrics) -> APIRouter:
    """Return the route for completions."""
    routes = APIRouter(prefix="/v1", tags=["completions"])
    stream: dict[str, Any] = {"text/event-stream": {}}

    async def create_completion(body: CompletionRequest, request: Request) -> Response:
        """Write continuations of a prompt, compatible with OpenAI's API."""
        _check(body, settings)
        loaded = await engine.load(body.model)
        prompts = await run_in_threadpool(_prompts, body, loaded.vocab, settings.max_prompt)
        seed = secrets.randbelow(2**31) if body.seed is None else body.seed
        texts = Texts(metrics)
        await texts.begin(engine, loaded, _wanted(body, prompts, seed))
        head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": loaded.name,
            "system_fingerprint": _fingerprint(loaded, settings),
            "seed": seed,
        }
        if body.stream:
            return Events(_events(texts, body, head), close=texts.close, seconds=settings.max_seconds + _GRACE)
        return JSONResponse(await cancel_on_disconnect(request, _whole(texts, body, head), texts.close))

    create_completion.__annotations__["body"] = completion_request(settings)  # with this server's limits
    routes.post(
        "/completions",
        response_model=Completion,
        responses={**refusals(404, 422), 200: {"content": stream, "description": "The texts, or their stream."}},
    )(create_completion)
    return routes


def _fingerprint(loaded: Loaded, settings: Settings) -> str:
    """Return an id that changes whenever a seed may give another text: for another model file, device or version."""
    facts = (__version__, loaded.name, loaded.stamp.changed, loaded.stamp.size, settings.device)
    return "fp_" + hashlib.sha256(repr(facts).encode()).hexdigest()[:10]


def _check(body: CompletionRequest, settings: Settings) -> None:
    """Raise `Refusal` if fields of a request contradict each other, or it asks for too many texts."""
    n = body.n or 1
    count = len(_given(body)) * n
    if body.best_of not in (None, n):
        raise Refusal(400, f"best_of is {body.best_of}; expected the value of n", "unsupported", param="best_of")
    if body.stream_options is not None and not body.stream:
        raise Refusal(400, "stream_options requires stream: true", "invalid_value", param="stream_options")
    if count > settings.max_texts:
        raise Refusal(
            400,
            f"the request is for {count} texts; expected at most {settings.max_texts} at once",
            "too_many_texts",
            param="n",
        )


def _given(body: CompletionRequest) -> list[str | list[int]]:
    """Return the prompts of a request as a list."""
    prompt = "" if body.prompt is None else body.prompt
    return prompt if isinstance(prompt, list) and not isinstance(prompt[0], int) else [prompt]


def _prompts(body: CompletionRequest, vocab: Vocab, most: int) -> list[str]:
    """Return the prompts as texts. Raises `Refusal` if one is too long or has characters the model does not know."""
    return [_prompt(each, vocab, most, bool(body.drop_unknown)) for each in _given(body)]


def _prompt(given: str | list[int], vocab: Vocab, most: int, drop_unknown: bool) -> str:
    try:
        text = given if isinstance(given, str) else vocab.decode(given)
        missing = "" if drop_unknown else vocab.unknown_symbols(text)
        if missing:
            raise Refusal(400, _lacking(missing), "unknown_characters", param="prompt")
        size = len(vocab.encode_prompt(text, drop_unknown=drop_unknown))
    except CorpusError as error:
        raise Refusal(400, f"the prompt can't be read: {error}", "invalid_prompt", param="prompt") from error
    if size > most:
        raise Refusal(400, f"the prompt has {size:,} tokens; expected at most {most:,}", "too_long", param="prompt")
    return text


def _lacking(missing: str) -> str:
    shown = ", ".join(map(repr, missing[:_NAMED])) + (" and others" if len(missing) > _NAMED else "")
    return f"the model does not know {shown}; leave them out of the prompt, or send drop_unknown: true"


def _wanted(body: CompletionRequest, prompts: Sequence[str], seed: int) -> list[TextRequest]:
    def given(name: str) -> Any:  # null means the default
        value = getattr(body, name)
        return type(body).model_fields[name].default if value is None else value

    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    config = SamplingSettings(
        length=given("max_tokens"),
        temperature=given("temperature"),
        seed=seed,
        top_k=given("top_k"),
        top_p=given("top_p"),
        min_p=given("min_p"),
        repetition_penalty=given("repetition_penalty"),
        stop=tuple(stop),
    )
    each = itertools.chain.from_iterable([prompt] * given("n") for prompt in prompts)
    return [
        TextRequest(prompt, config, number, given("drop_unknown"), body.logprobs, given("echo"))
        for number, prompt in enumerate(each)
    ]


async def _whole(texts: Texts, body: CompletionRequest, head: dict[str, Any]) -> dict[str, Any]:
    """Return the complete response once all texts have ended."""
    found = [_Gathered() for _ in texts.streams]
    async for n, piece in texts.pieces():
        found[n].take(piece)
    choices = [_choice(n, each.text(), each.tokens, each.finish, body) for n, each in enumerate(found)]
    return {**head, "choices": choices, "usage": _usage(texts, body)}


class _Gathered:
    """Collects the pieces of a text."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.tokens: list[Token] = []
        self.finish = ""

    def take(self, piece: Piece) -> None:
        self._pieces.append(piece.text)
        self.tokens += piece.tokens
        self.finish = piece.finish

    def text(self) -> str:
        return "".join(self._pieces)


async def _events(texts: Texts, body: CompletionRequest, head: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    """Yield the response as events. An error while writing becomes the last event."""
    telling = body.stream_options is not None and bool(body.stream_options.include_usage)
    usage: dict[str, Any] = {"usage": None} if telling else {}
    try:
        async for n, piece in texts.pieces():
            choice = _choice(n, piece.text, piece.tokens, piece.finish, body)
            yield event({**head, "choices": [choice], **usage})
    except Refusal as refusal:
        yield event(refusal.body())
        return
    if telling:
        yield event({**head, "choices": [], "usage": _usage(texts, body)})
    yield b"data: [DONE]\n\n"


def _choice(index: int, text: str, tokens: list[Token], finish: str, body: CompletionRequest) -> dict[str, Any]:
    logprobs = None if body.logprobs is None else _logprobs(tokens, body.logprobs)
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish or None}


def _logprobs(tokens: list[Token], most: int) -> dict[str, Any]:
    def top(token: Token) -> dict[str, float]:
        return {text: max(logprob, _LEAST) for text, logprob in token.top}

    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [None if token.logprob is None else max(token.logprob, _LEAST) for token in tokens],
        "top_logprobs": [top(token) for token in tokens] if most else None,
        "text_offset": [token.offset for token in tokens],
    }


def _usage(texts: Texts, body: CompletionRequest) -> dict[str, int]:
    """Return the token counts. A prompt counts once, however many texts continue it."""
    read = sum(stream.usage.prompt_tokens for stream in texts.streams[:: body.n or 1])
    written = sum(stream.usage.completion_tokens for stream in texts.streams)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
