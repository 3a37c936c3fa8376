"""Routes for corpora, the texts to train on: list, upload and delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from ..http.error_answers import refusals
from ..jobs.job_list import Jobs
from ..stores import names
from .job_schemas import CorpusAnswer, CorpusDeleted, CorpusList

Name = Annotated[str, Path(max_length=200, description="A corpus's name.")]

_TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}


def router(jobs: Jobs) -> APIRouter:
    """Return the routes for corpora."""
    routes, corpora = APIRouter(prefix="/v1/corpora", tags=["training"]), jobs.corpora

    @routes.get("", response_model=CorpusList, responses=refusals())
    def list_corpora() -> dict[str, Any]:
        """List the corpora to train on: those of the catalogue, then the uploaded ones."""
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
        overwrite: Annotated[bool, Query(description="Replace the corpus that has this name.")] = False,
    ) -> dict[str, Any]:
        """Upload a text to train on, in UTF-8."""
        jobs.check_allowed()
        name = names.checked(name)
        jobs.check_not_needed(name)
        return await corpora.receive(name, request.stream(), overwrite=overwrite)

    @routes.delete("/{name}", response_model=CorpusDeleted, responses=refusals(404, 409))
    async def delete_corpus(name: Name) -> dict[str, Any]:
        """Delete an uploaded corpus."""
        jobs.check_allowed()
        name = names.checked(name)
        jobs.check_not_needed(name)
        corpora.delete(name)
        return {"id": name, "object": "corpus", "deleted": True}

    return routes
