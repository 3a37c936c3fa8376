"""JSON schemas of jobs, corpora and training options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1)]
OptionName = Annotated[str, Field(max_length=100)]
OptionValue = bool | int | float | Annotated[str, Field(max_length=2000)]
Options = Annotated[dict[OptionName, OptionValue], Field(max_length=100)]
Changes = Annotated[dict[OptionName, OptionValue | None], Field(max_length=100)]


class NewJob(BaseModel):
    """A job to create. Give either `corpus`, the name of a corpus, or `text`, the text itself."""

    model_config = _STRICT

    model: Name = Field(description="The name of the model to train.")
    corpus: Name | None = Field(None, description="A corpus by name: see GET /v1/corpora.")
    text: Text | None = Field(None, description="The text itself.")
    options: Options = Field({}, description="Training options by name: see GET /v1/train/options.")
    overwrite: bool = Field(False, description="Replace the model that has this name.")


class Resumption(BaseModel):
    """How to resume a job."""

    model_config = _STRICT

    options: Changes = Field({}, description="Options to change, such as more epochs; null removes one.")


class JobAnswer(BaseModel):
    """A job. Losses are in nats per token, times in seconds since 1970; `place` is its place in the queue, from 1."""

    id: str
    object: Literal["training.job"]
    model: str
    corpus: str | None
    options: dict[str, bool | int | float | str]
    state: Literal["waiting", "running", "stopping", "stopped", "done", "failed"]
    created: int
    started: int | None
    ended: int | None
    error: str | None
    place: int | None
    step: int | None
    steps: int | None
    epoch: int | None
    epochs: int | None
    loss: float | None
    val_loss: float | None
    best_loss: float | None
    tokens_per_second: float | None
    seconds_left: float | None


class JobList(BaseModel):
    """All jobs, the newest first."""

    object: Literal["list"]
    data: list[JobAnswer]


class JobDeleted(BaseModel):
    """A deleted job."""

    id: str
    object: Literal["training.job"]
    deleted: Literal[True]


class OptionAnswer(BaseModel):
    """A training option. `least` and `most` bound a number, `choices` lists the allowed values; null: no limit.

    `default` is in words. A `fixed` option cannot change when a job resumes.
    """

    name: str
    kind: Literal["int", "float", "text", "flag"]
    group: str
    help: str
    default: str
    fixed: bool
    least: float | None
    most: float | None
    choices: list[str] | None


class OptionList(BaseModel):
    """All training options."""

    object: Literal["list"]
    data: list[OptionAnswer]


class CorpusAnswer(BaseModel):
    """A corpus. `here` is false if it must be downloaded first; `bytes` is null if its size is unknown."""

    id: str
    object: Literal["corpus"]
    title: str
    language: str
    licence: str
    bytes: int | None
    source: Literal["package", "stdlib", "download", "upload"]
    here: bool


class CorpusList(BaseModel):
    """All corpora: those of the catalogue, then the uploaded ones."""

    object: Literal["list"]
    data: list[CorpusAnswer]


class CorpusDeleted(BaseModel):
    """A deleted corpus."""

    id: str
    object: Literal["corpus"]
    deleted: Literal[True]
