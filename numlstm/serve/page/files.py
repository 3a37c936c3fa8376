"""The page's files, as they are sent. Knows nothing about what is in them."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"

# By their endings: what the system says, on Windows what somebody wrote into its registry, may stop a browser.
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class _Files(StaticFiles):
    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        return ("", None) if "\0" in path else super().lookup_path(path)  # which some versions stumble over

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        kind = _TYPES.get(Path(full_path).suffix)
        if kind is not None and "content-type" in response.headers:
            response.headers["Content-Type"] = f"{kind}; charset=utf-8"
        response.headers["Cache-Control"] = "no-cache"  # a browser asks whether its copy is still good
        return response


def mount(app: FastAPI) -> None:
    """Serve the page's files below /page/."""
    app.mount("/page", _Files(directory=FOLDER, check_dir=False), name="page")


def index(request: Request) -> Response:
    """Return the page itself, whose addresses are relative to /, so that it works below any path of a proxy."""
    return FileResponse(FOLDER / "index.html", media_type="text/html", headers={"Cache-Control": "no-cache"})
