"""The text of a named corpus: made on this machine, shipped with the package, or downloaded."""

from __future__ import annotations

from pathlib import Path

from ...errors import CorpusError
from ...storage.atomic import atomic_replace
from .catalog import Entry, shipped_file, ships
from .named_downloads import Report, cached, fetch, texts_folder
from .python_library import python_source


def text_of(entry: Entry, report: Report | None = None) -> tuple[bytes, str]:
    """Return the bytes of a corpus and their encoding, downloading it if needed.

    `report` is as in `named_downloads.fetch`. Raises `CorpusError` if the text is not available.
    """
    if entry.source == "stdlib":
        return python_source().encode("ascii"), "ascii"
    path = text_path(entry, report)
    try:
        return path.read_bytes(), "utf-8"
    except OSError as error:
        raise CorpusError(f"the corpus {entry.name} cannot be read: {error.strerror or error} ({path})") from error


def text_path(entry: Entry, report: Report | None = None, *, refresh: bool = False) -> Path:
    """Return the path of a file that holds the corpus, downloading it if needed, or always with `refresh`.

    A corpus that is made on this machine is written to the cache first. Raises `CorpusError` as `text_of` does.
    """
    if entry.source == "package":
        return shipped_file(entry)
    if entry.source == "stdlib":
        return _written(entry)
    if entry.source != "download" or not entry.urls:
        raise CorpusError(
            f"the corpus {entry.name} comes from {entry.source!r}; expected 'stdlib', 'package' or 'download' with a "
            "url; install a newer numlstm"
        )
    return fetch(entry, report, refresh=refresh)


def text_size(entry: Entry) -> tuple[int | None, bool]:
    """Return the size of a corpus in bytes, or None if unknown, and whether it is exact. Downloads nothing."""
    if entry.source == "package" and ships(entry):
        return shipped_file(entry).stat().st_size, True
    kept = cached(entry) if entry.source == "download" else None
    if kept is not None:
        return kept.stat().st_size, True
    if entry.size is not None:
        return entry.size * len(entry.urls), not entry.trim
    return entry.about, False


def is_offline(entry: Entry) -> bool:
    """Return True if a corpus can be read without a network."""
    return ships(entry) or (entry.source == "download" and cached(entry) is not None)


def _written(entry: Entry) -> Path:
    data, folder = python_source().encode("ascii"), texts_folder()
    path = folder / f"{entry.name}.txt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:  # another Python has another standard library
            with atomic_replace(path) as file:
                file.write(data)
    except OSError as error:
        raise CorpusError(
            f"the corpus {entry.name} cannot be stored in {folder}: {error.strerror or error}; free some space there, "
            "or set NUMLSTM_CACHE_DIR to another folder"
        ) from error
    return path
