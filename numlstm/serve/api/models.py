"""Routes for models: list, describe, download, upload and delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse

from ..http.error_answers import refusals
from ..stores.models import ModelStore
from .schemas import ModelAnswer, ModelDeleted, ModelList

Name = Annotated[str, Path(max_length=200, description="A model's name.")]

_FILE: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def router(shelf: ModelStore) -> APIRouter:
    """Return the routes for the models on a shelf."""
    routes = APIRouter(prefix="/v1/models", tags=["models"])

    @routes.get("", response_model=ModelList, responses=refusals())
    def list_models() -> dict[str, Any]:
        """List the models: those in the server's folder, then those that ship with numlstm."""
        return {"object": "list", "data": shelf.all()}

    @routes.get("/{name}", response_model=ModelAnswer, responses=refusals(404))
    def get_model(name: Name) -> dict[str, Any]:
        """Describe a model."""
        return shelf.describe(name)

    @routes.delete("/{name}", response_model=ModelDeleted, responses=refusals(404, 409))
    def delete_model(name: Name) -> dict[str, Any]:
        """Delete a model from the server's folder."""
        shelf.delete(name)
        return {"id": name, "object": "model", "deleted": True}

    @routes.get(
        "/{name}/file",
        response_class=FileResponse,
        responses={**refusals(404), 200: {"content": _FILE, "description": "The weights file."}},
    )
    def download_model(name: Name) -> FileResponse:
        """Download a model's weights file."""
        return FileResponse(shelf.path(name), media_type="application/octet-stream", filename=f"{name}.npz")

    @routes.put(
        "/{name}/file",
        status_code=201,
        response_model=ModelAnswer,
        responses=refusals(409, 422, 507),
        openapi_extra={"requestBody": {"content": _FILE, "required": True}},
    )
    async def upload_model(
        name: Name,
        request: Request,
        overwrite: Annotated[bool, Query(description="Replace the model that has this name.")] = False,
    ) -> dict[str, Any]:
        """Upload a weights file. It is checked before it is stored under its name."""
        return await shelf.receive(name, request.stream(), overwrite=overwrite)

    return routes
