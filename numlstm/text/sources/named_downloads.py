"""The named corpora that are downloaded: once, into the user's cache, and verified at each use.

The cache holds a trimmed text of each corpus and a record: the URLs, the checksums of the files as received, that of
the text, and the date. If either is missing or they disagree, the corpus counts as not downloaded. Later downloads must
match the record's checksums too.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import CorpusError
from ...storage import cache_folder
from ...storage.atomic import atomic_replace
from ...storage.temporary import is_abandoned, temporary_beside
from .catalog import Entry, entries, ships
from .download import STALLED_SECONDS, Unreachable, WrongChecksum, download
from .trim import trimmed

Report = Callable[[str, int, int], None]

_BETWEEN = "\n\n"  # separates the texts of one corpus


def texts_folder() -> Path:
    """Return the folder of downloaded texts, which may not exist yet."""
    return cache_folder.folder() / "texts"


def cached(entry: Entry) -> Path | None:
    """Return the path of a corpus that was downloaded and has not changed since, or None."""
    path = _text_path(entry)
    record = _record(entry)
    try:
        same = record is not None and record["text_sha256"] == _digest(path.read_bytes())
    except OSError:
        return None
    return path if same else None


def fetch(
    entry: Entry, report: Report | None = None, *, refresh: bool = False, timeout: float = STALLED_SECONDS
) -> Path:
    """Return the path of a corpus's text, downloading it if needed.

    With `refresh` it is downloaded again, even if it has changed on the server. `report` is called with the task, the
    bytes received and their total. `timeout` is the longest wait for data, in seconds. Raises `CorpusError` if the text
    is not available; the cached text, if any, is then untouched.
    """
    found = None if refresh else cached(entry)
    if found is not None:
        return found
    folder = texts_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder)
        temporary = temporary_beside(_text_path(entry))
        temporary.mkdir()
        try:
            return _fetch_through(temporary, entry, report, {} if refresh else _record(entry) or {}, timeout)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise CorpusError(
            f"the corpus {entry.name} cannot be stored in {folder}: {error.strerror or error}; free some space there, "
            "or set NUMLSTM_CACHE_DIR to another folder"
        ) from error


def offline_names() -> list[str]:
    """Return the names of the corpora that need no network: those that ship, and those downloaded before."""
    return [name for name, entry in entries().items() if ships(entry) or cached(entry)]


def _fetch_through(
    temporary: Path, entry: Entry, report: Report | None, before: dict[str, Any], timeout: float
) -> Path:
    pinned = entry.sha256 or tuple(before.get("sha256", ()))
    texts, digests = [], []
    for place, url in enumerate(entry.urls):
        file = temporary / f"{place}.txt"
        known = pinned[place] if place < len(pinned) else None
        _download(entry, url, file, known, before, _file_progress(entry, place, report), timeout)
        data = file.read_bytes()
        digests.append(_digest(data))
        texts.append(trimmed(data, entry.trim, url))
    data = _BETWEEN.join(texts).encode("utf-8")
    record = {
        "urls": list(entry.urls),
        "sha256": digests,
        "trim": entry.trim,
        "text_sha256": _digest(data),
        "downloaded": datetime.date.today().isoformat(),
    }
    for path, contents in ((_text_path(entry), data), (_record_path(entry), json.dumps(record, indent=1).encode())):
        with atomic_replace(path) as written:
            written.write(contents)
    return _text_path(entry)


def _download(
    entry: Entry,
    url: str,
    file: Path,
    known: str | None,
    before: dict[str, Any],
    on_progress: Callable[[int, int], None] | None,
    timeout: float,
) -> None:
    try:
        download(url, file, sha256=known, size=entry.size, on_progress=on_progress, timeout=timeout)
    except Unreachable as error:
        raise CorpusError(
            f"the corpus {entry.name} is not downloaded yet, and {error}; without a network, use "
            f"{', '.join(offline_names())} or your own files"
        ) from None
    except WrongChecksum as error:
        if entry.sha256:
            raise CorpusError(
                f"{error}: it was damaged in transit or replaced on the server; nothing was saved; try again, or "
                "download the text by hand and give the file"
            ) from None
        raise CorpusError(
            f"{error} of {before['downloaded']}: it has changed since; nothing was saved; to get the current text, run "
            f"numlstm corpus get {entry.name} --refresh"
        ) from None


def _file_progress(entry: Entry, place: int, report: Report | None) -> Callable[[int, int], None] | None:
    if report is None:
        return None
    several = f" ({place + 1} of {len(entry.urls)})" if len(entry.urls) > 1 else ""
    return lambda done, total: report(f"downloading {entry.name}{several}", done, total)


def _record(entry: Entry) -> dict[str, Any] | None:
    """Return the record of a download, or None if there is none that matches the entry."""
    try:
        found = json.loads(_record_path(entry).read_bytes())
        same = (found["urls"], found["trim"]) == (list(entry.urls), entry.trim)
        pinned = not entry.sha256 or found["sha256"] == list(entry.sha256)
        whole = len(found["sha256"]) == len(entry.urls) and {"text_sha256", "downloaded"} <= set(found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if same and pinned and whole else None


def _text_path(entry: Entry) -> Path:
    return texts_folder() / f"{entry.name}.txt"


def _record_path(entry: Entry) -> Path:
    return texts_folder() / f"{entry.name}.json"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sweep(folder: Path) -> None:
    """Remove what killed processes left."""
    for path in list(folder.iterdir()):
        if is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
