"""The models on a server, by name: those in its folder, and those that ship with numlstm."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterable, Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool

from ...errors import NumlstmError, WeightsError
from ...network import parameters, shipped, weights_file
from ...storage.atomic import atomic_replace
from ...storage.temporary import is_abandoned
from ..http.refusal import Refusal
from ..server_settings import Settings
from . import names

_TITLE = 200  # characters


class ModelStore:
    """The models of a server. `busy(name)` returns True while a job writes that model; nobody else may then."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.busy: Callable[[str], bool] = lambda name: False
        self._known: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._checking = asyncio.Lock()  # one upload at a time: each may take as much memory as the largest model

    def names(self) -> list[str]:
        """Return the names of all models, those in the folder first."""
        return [*sorted(self._own()), *shipped.models()]

    def path(self, name: str) -> Path:
        """Return the path of a model's file. Raises `Refusal` (404) if there is none."""
        found = shipped.models().get(name) or self._own_path(name)
        if found is None:
            raise Refusal(
                404, f"there is no model {name!r:.80}; GET /v1/models lists them", "model_not_found", param="model"
            )
        return found

    def is_shipped(self, name: str) -> bool:
        """Return True if the model ships with the package. It cannot be changed, and its name is taken."""
        return name in shipped.models()

    def default(self) -> str:
        """Return the folder's last changed model, else the first shipped one. Raises `Refusal` (404) if none exists."""
        own = self._own()
        if own:
            return max(own, key=lambda name: own[name])
        for name in shipped.models():
            return name
        raise Refusal(404, "there is no model here yet; train one, or upload one", "model_not_found", param="model")

    def describe(self, name: str) -> dict[str, Any]:
        """Return the API's description of a model. Raises `Refusal` (404) if there is none.

        An unusable file is described too; `problem` says why it is unusable.
        """
        path = self.path(name)
        try:
            found = path.stat()
        except OSError:
            raise Refusal(404, f"there is no model {name!r:.80}", "model_not_found", param="model") from None
        stamp = (found.st_mtime_ns, found.st_size)
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            known = self._known[name] = stamp, self._described(name, path, found)
        return known[1]

    def all(self) -> list[dict[str, Any]]:
        """Describe all models, except any deleted meanwhile."""
        found = []
        for name in self.names():
            with contextlib.suppress(Refusal):
                found.append(self.describe(name))
        return found

    async def receive(self, name: str, chunks: AsyncIterable[bytes], *, overwrite: bool) -> dict[str, Any]:
        """Store an uploaded weights file from its chunks, and describe it.

        The file is checked first, so a damaged or incomplete upload never replaces an existing model. Raises `Refusal`:
        403 without training, 409 if the model exists or is being written, 422 if it is not a weights file, 507 if the
        disk is full.
        """
        name = names.checked(name)
        self._check_free(name, overwrite)
        with _disk():
            self.settings.models.mkdir(parents=True, exist_ok=True)
            with atomic_replace(self._file(name)) as file:
                await _receive(file, chunks)
                async with self._checking:  # not in the thread, where waiting would block a worker
                    await run_in_threadpool(self._check, Path(file.name))
                self._check_free(name, overwrite)  # again: the upload took a while
        return await run_in_threadpool(self.describe, name)

    def delete(self, name: str) -> None:
        """Delete a model. Raises `Refusal`: 403 if shipped or read-only, 404 if missing, 409 if a job is writing it."""
        self._check_may_change()
        path = self.path(name)
        if self.is_shipped(name):
            raise Refusal(403, f"the model {name} ships with numlstm and can't be deleted", "model_shipped")
        self._check_idle(name)
        with _disk():
            path.unlink(missing_ok=True)
        self._known.pop(name, None)

    def sweep(self) -> None:
        """Remove partial uploads left by servers that were killed."""
        with contextlib.suppress(OSError):
            for path in list(self.settings.models.iterdir()):
                if is_abandoned(path):
                    path.unlink()

    def _file(self, name: str) -> Path:
        return self.settings.models / f"{name}.npz"

    def _own(self) -> dict[str, int]:
        """Return the names of the models in the folder, with their modification times in ns."""
        found = {}
        with contextlib.suppress(OSError):  # no folder yet
            for entry in os.scandir(self.settings.models):
                name, suffix = os.path.splitext(entry.name)
                with contextlib.suppress(OSError):  # deleted meanwhile
                    if suffix == ".npz" and names.is_name(name) and not self.is_shipped(name) and entry.is_file():
                        found[name] = entry.stat().st_mtime_ns
        return found

    def _own_path(self, name: str) -> Path | None:
        path = self._file(name) if names.is_name(name) else None
        return path if path is not None and path.is_file() else None

    def _check_may_change(self) -> None:
        if not self.settings.train:
            raise Refusal(403, "this server is read-only: it was started with --no-train", "read_only")

    def _check_idle(self, name: str) -> None:
        if self.busy(name):
            raise Refusal(409, f"a training job is writing the model {name}; stop it first", "model_busy", param="name")

    def _check_free(self, name: str, overwrite: bool) -> None:
        self._check_may_change()
        if self.is_shipped(name):
            raise Refusal(409, f"a model called {name} ships with numlstm; choose another name", "exists", param="name")
        self._check_idle(name)
        if self._file(name).exists() and not overwrite:
            raise Refusal(
                409, f"there is a model {name}; send overwrite=true to replace it, or choose another name", "exists",
                param="name",
            )  # fmt: skip

    def _check(self, path: Path) -> None:
        try:
            weights_file.load(path)
        except WeightsError as error:
            raise Refusal(422, without_path(error, path, "the file"), "invalid_model") from error

    def _described(self, name: str, path: Path, found: os.stat_result) -> dict[str, Any]:
        ships = self.is_shipped(name)
        known = {
            "id": name,
            "object": "model",
            "created": int(found.st_mtime),
            "owned_by": "numlstm" if ships else "user",
            "shipped": ships,
            "bytes": found.st_size,
        }
        try:
            return {**known, **_outlined(weights_file.outline(path))}
        except NumlstmError as error:
            return {**known, **_UNKNOWN, "problem": without_path(error, path, f"{name}.npz")}


_UNKNOWN: dict[str, Any] = {
    "parameters": None,
    "layers": [],
    "level": None,
    "vocabulary": None,
    "loss": None,
    "title": "",
    "resumable": False,
}


def _outlined(outline: weights_file.Outline) -> dict[str, Any]:
    return {
        "parameters": parameters.count(outline.config),
        "layers": list(outline.config.layers),
        "level": outline.vocab.level,
        "vocabulary": len(outline.vocab),
        "loss": _loss(outline.summary),
        "title": _title(outline.summary),
        "resumable": outline.training is not None,
        "problem": None,
    }


def _loss(summary: dict[str, Any]) -> float | None:
    """Return the validation loss in nats per token. The summary is not validated on loading, so check types here."""
    evaluated = summary.get("evaluated")
    loss = evaluated.get("carried") if isinstance(evaluated, dict) else summary.get("best_loss")
    return float(loss) if isinstance(loss, (int, float)) and not isinstance(loss, bool) else None


def _title(summary: dict[str, Any]) -> str:
    """Return the title of a model's corpus, or the names of its files without their folders."""
    about, corpus = summary.get("about"), summary.get("corpus")
    title = about.get("title") if isinstance(about, dict) else None
    sources = corpus.get("sources") if isinstance(corpus, dict) else None
    if title is None and isinstance(sources, list):
        title = ", ".join(str(source).replace("\\", "/").rpartition("/")[2] for source in sources if source != "-")
    return str(title or "")[:_TITLE]


def without_path(error: NumlstmError, path: Path, name: str) -> str:
    """Return an error's message with `name` in place of the path, which clients should not see."""
    return str(error).replace(str(path), name)


async def _receive(file: BinaryIO, chunks: AsyncIterable[bytes]) -> None:
    """Write an upload's chunks to a file, in worker threads so that the event loop keeps running."""
    async for chunk in chunks:
        await run_in_threadpool(file.write, chunk)
    await run_in_threadpool(file.flush)
    await run_in_threadpool(os.fsync, file.fileno())


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    """Context manager: raise `Refusal` if the block fails to write to the disk."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Refusal(507, "the server's disk is full; delete models or make room", "disk_full") from error
        reason = error.strerror or type(error).__name__
        raise Refusal(500, f"the server could not write the file: {reason}", "not_written") from error
