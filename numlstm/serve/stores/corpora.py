"""The corpora on a server, by name: those of the catalogue, and those that clients uploaded to texts/NAME.txt."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import errno
from collections.abc import AsyncIterable
from pathlib import Path
from typing import IO, Any

from ...errors import StorageError
from ...storage import atomic
from ...storage.temporary import is_abandoned
from ...text.sources.catalog import Entry, corpus_names, entries
from ...text.sources.named import is_offline, text_size
from ..http.refusal import Refusal
from ..server_settings import MB, Settings
from . import names


class Corpora:
    """The corpora of a server. All names are checked here."""

    def __init__(self, settings: Settings) -> None:
        self.folder, self.most = settings.models.absolute() / "texts", settings.max_upload

    def list(self) -> list[dict[str, Any]]:
        """Describe all corpora, those of the catalogue first."""
        found = [_of_catalogue(entry) for entry in entries().values()]
        for path in sorted(self.folder.glob("*.txt")):
            with contextlib.suppress(OSError):  # deleted meanwhile
                if names.is_name(path.stem) and path.is_file():
                    found.append(_sent(path))
        return found

    def checked(self, name: str) -> str:
        """Return the normalized name of an existing corpus. Raises `Refusal` (400, 404) if there is none."""
        name = names.checked(name, "corpus")
        if not self.is_catalogued(name) and not self.path(name).is_file():
            raise Refusal(
                404,
                f"no corpus is called {name}; GET /v1/corpora lists them, PUT /v1/corpora/{name} uploads one",
                "corpus_not_found",
                param="corpus",
            )
        return name

    def is_catalogued(self, name: str) -> bool:
        """Return True if the catalogue has a corpus of this name. Uploads cannot use it."""
        return name in corpus_names()

    def path(self, name: str) -> Path:
        """Return the path of an uploaded corpus, whether or not it exists."""
        return self.folder / f"{name}.txt"

    async def receive(self, name: str, chunks: AsyncIterable[bytes], *, overwrite: bool) -> dict[str, Any]:
        """Store an uploaded text from its chunks, and describe it.

        Raises `Refusal`: 400 if it is empty or not UTF-8, 409 if the name is taken, 413 if it is too long, 507 if the
        disk is full. An existing text of this name is replaced only if the upload succeeds.
        """
        path = self.path(names.checked(name, "name"))
        if self.is_catalogued(path.stem):
            raise Refusal(
                409, f"{name} is a corpus of the catalogue; choose another name", "corpus_exists", param="name"
            )
        if path.exists() and not overwrite:
            raise Refusal(409, f"the corpus {name} exists; ?overwrite=true replaces it", "corpus_exists", param="name")
        try:
            await asyncio.to_thread(self._make_folder)
            await self._write(path, chunks)
        except (OSError, StorageError) as error:
            raise no_room(error, "the text") from error
        return await asyncio.to_thread(_sent, path)

    def delete(self, name: str) -> None:
        """Delete an uploaded corpus. Raises `Refusal`: 403 if it is in the catalogue, 404 if there is none."""
        name = self.checked(name)
        if self.is_catalogued(name):
            raise Refusal(403, f"{name} is in the catalogue and cannot be deleted", "corpus_fixed", param="name")
        self.path(name).unlink(missing_ok=True)

    async def _write(self, path: Path, chunks: AsyncIterable[bytes]) -> None:
        whole = atomic.atomic_write(path)
        file = await asyncio.to_thread(whole.__enter__)
        try:
            await self._receive(file, chunks)
        except BaseException as error:  # including the client's disconnect
            whole.__exit__(type(error), error, error.__traceback__)
            raise
        await asyncio.to_thread(whole.__exit__, None, None, None)  # in a thread: it waits for the disk

    async def _receive(self, file: IO[bytes], chunks: AsyncIterable[bytes]) -> None:
        decoder, size = codecs.getincrementaldecoder("utf-8")(), 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self.most:
                raise Refusal(413, f"the text is longer than {self.most / MB:.0f} MB; send a part of it", "too_large")
            _decode(decoder, chunk, size)
            await asyncio.to_thread(file.write, chunk)
        _decode(decoder, b"", size)
        if not size:
            raise Refusal(400, "the text is empty; expected text in UTF-8", "empty_text")

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in list(self.folder.iterdir()):
            if is_abandoned(path):  # left by a server that was killed during an upload
                path.unlink(missing_ok=True)


def no_room(error: BaseException, what: str) -> Refusal:
    """Return the refusal (507 if the disk is full, else 500) for a failed write. Its message names no path."""
    cause = error if isinstance(error, OSError) else error.__cause__
    reason = (cause.strerror if isinstance(cause, OSError) else None) or "the disk failed"
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Refusal(507, f"{what} could not be saved: {reason}; make room on the server", "disk_full")
    return Refusal(500, f"{what} could not be saved: {reason}; check the server's folder", "cannot_write")


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, size: int) -> None:
    try:
        decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        where = size - len(error.object) + error.start
        raise Refusal(
            400,
            f"the text is not UTF-8: the byte 0x{error.object[error.start]:02X} at offset {where} does not decode; "
            "save it as UTF-8",
            "not_utf8",
        ) from None


def _of_catalogue(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.name,
        "object": "corpus",
        "title": entry.title,
        "language": entry.language,
        "licence": entry.licence,
        "bytes": text_size(entry)[0],
        "source": entry.source,
        "here": is_offline(entry),
    }


def _sent(path: Path) -> dict[str, Any]:
    facts = {"title": path.stem, "language": "", "licence": "", "bytes": path.stat().st_size}
    return {"id": path.stem, "object": "corpus", **facts, "source": "upload", "here": True}
