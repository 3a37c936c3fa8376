"""The texts to train on, over HTTP: list, upload and delete them. Knows nothing about what is trained."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from ..http.error_answers import refusals
from ..jobs.job_list import Jobs
from ..stores import names
from .job_schemas import CorpusAnswer, CorpusDeleted, CorpusList

Name = Annotated[str, Path(max_length=200, description="A text's name.")]

_TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}


def router(jobs: Jobs) -> APIRouter:
    """Return the routes of the texts that jobs read."""
    routes, corpora = APIRouter(prefix="/v1/corpora", tags=["training"]), jobs.corpora

    @routes.get("", response_model=CorpusList, responses=refusals())
    def list_corpora() -> dict[str, Any]:
        """List the texts that a model can be trained on: those of the catalogue, and those that were sent."""
        return {"object": "list", "data": corpora.list()}

    @routes.put(
        "/{name}",
        status_code=201,
        response_model=CorpusAnswer,
        responses=refusals(409, 507),
        openapi_extra={"requestBody": {"content": _TEXT, "required": True}},
    )
    async def upload_corpus(
        name: Name,
        request: Request,
        overwrite: Annotated[bool, Query(description="Replace the text that has this name.")] = False,
    ) -> dict[str, Any]:
        """Send a text, in UTF-8, to train on."""
        jobs.check_allowed()
        name = names.checked(name)
        jobs.check_not_needed(name)
        return await corpora.receive(name, request.stream(), overwrite=overwrite)

    @routes.delete("/{name}", response_model=CorpusDeleted, responses=refusals(404, 409))
    async def delete_corpus(name: Name) -> dict[str, Any]:
        """Delete a text that was sent."""
        jobs.check_allowed()
        name = names.checked(name)
        jobs.check_not_needed(name)
        corpora.delete(name)
        return {"id": name, "object": "corpus", "deleted": True}

    return routes
