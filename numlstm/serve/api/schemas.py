"""JSON schemas of completions and models. They hold every limit, so that the OpenAPI description shows it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from ...settings.declaration import by_name, declared
from ...settings.sampling import SamplingSettings
from ..server_settings import Settings

_STOPS, _STOP = 16, 256  # stop texts in a request, and characters in each

_SAMPLING = by_name(declared(SamplingSettings))


def _sampling(name: str, default: float | None, **limits: Any) -> Any:
    """Return the field for a setting of `SamplingSettings`: its help text and range, overridden by `limits`."""
    of = _SAMPLING[name]
    least, most = ("gt" if of.above else "ge"), ("lt" if of.below else "le")
    facts = {"description": of.help, least: of.least, most: of.most, **limits}
    return Field(default, **{key: value for key, value in facts.items() if value not in (math.inf, -math.inf)})


TokenId = Annotated[int, Field(ge=0, le=2**24)]
Stop = Annotated[str, Field(min_length=1, max_length=_STOP)]


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(strict=True, extra="forbid")

    include_usage: bool | None = Field(None, description="Send the usage in a separate last chunk.")
    include_obfuscation: Literal[False] | None = Field(None, description="Not supported.")


class CompletionRequest(BaseModel):
    """A request for continuations of one or more prompts."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    model: str = Field(min_length=1, max_length=200, description="The model's name: see GET /v1/models.")
    prompt: Any = None
    max_tokens: Any = None
    temperature: float | None = _sampling("temperature", 1, le=2)
    top_p: float | None = _sampling("top_p", 1)
    n: int | None = Field(1, ge=1, le=128, description="Number of texts for each prompt.")
    stream: bool | None = Field(False, description="Send the text as it is written, as server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="Only with stream.")
    stop: Stop | Annotated[list[Stop], Field(max_length=_STOPS)] | None = Field(
        None, description="End the text before this, or before the first of these, if it occurs."
    )
    seed: int | None = _sampling("seed", None, description="The same seed gives the same text; null: a random seed.")
    logprobs: int | None = Field(
        None, ge=0, le=5, description="Return each token's log-probability, and those of this many likeliest tokens."
    )
    echo: bool | None = Field(False, description="Begin the text with the prompt.")
    user: str | None = Field(None, description="Accepted and ignored.")
    best_of: int | None = Field(None, ge=1, le=128, description="Not supported: must equal n if given.")
    suffix: Annotated[str, Field(max_length=0)] | None = Field(None, description="Not supported.")
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = Field(None, description="Not supported.")
    presence_penalty: float | None = Field(0, ge=0, le=0, description="Not supported: see repetition_penalty.")
    frequency_penalty: float | None = Field(0, ge=0, le=0, description="Not supported: see repetition_penalty.")
    top_k: int | None = _sampling("top_k", 0, le=2**24)
    min_p: float | None = _sampling("min_p", 0)
    repetition_penalty: float | None = _sampling("repetition_penalty", 1)
    drop_unknown: bool | None = Field(False, description="Drop from the prompt what the model does not know.")


def completion_request(settings: Settings) -> type[CompletionRequest]:
    """Return the schema of a request with a server's limits."""
    ids = Annotated[list[TokenId], Field(min_length=1, max_length=settings.max_prompt)]
    text = Annotated[str, Field(max_length=settings.max_body)]
    several = Field(min_length=1, max_length=settings.max_texts)
    prompt = text | Annotated[list[text], several] | ids | Annotated[list[ids], several]
    return create_model(
        "CompletionRequest",
        __base__=CompletionRequest,
        prompt=(
            prompt | None,
            Field("", description=f"A text to continue, token ids, or a list of either; {settings.max_prompt} tokens."),
        ),
        max_tokens=(
            int | None,
            Field(16, ge=0, le=settings.max_tokens, description="Maximum number of tokens to write."),
        ),
    )


class Usage(BaseModel):
    """Number of tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Logprobs(BaseModel):
    """The tokens of a text, their log-probabilities in nats under the model, and the likeliest tokens at each place."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class Choice(BaseModel):
    """One text."""

    text: str
    index: int
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"] | None


class Completion(BaseModel):
    """The texts written. The same `seed` with the same `system_fingerprint` reproduces them."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    seed: int
    choices: list[Choice]
    usage: Usage


class ModelAnswer(BaseModel):
    """A model. `loss` is the validation loss in nats per token; `problem` says why the file cannot be used."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: Literal["user", "numlstm"]
    shipped: bool
    bytes: int
    parameters: int | None
    layers: list[int]
    level: str | None
    vocabulary: int | None
    loss: float | None
    title: str
    resumable: bool
    problem: str | None


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"]
    data: list[ModelAnswer]


class ModelDeleted(BaseModel):
    """A deleted model."""

    id: str
    object: Literal["model"]
    deleted: Literal[True]
