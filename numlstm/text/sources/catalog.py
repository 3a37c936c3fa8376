"""The catalogue of named corpora, which `corpora.toml` lists, and the texts that ship beside it.

The files are in the installed package, or at the top of a source checkout.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import sys
from pathlib import Path
from typing import Any

from ...errors import CorpusError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclasses.dataclass(frozen=True)
class Entry:
    """The catalogue entry of a named corpus.

    `source` is "stdlib", "package" (`file` is the name there) or "download" (from `urls`). `size` is the exact number
    of bytes of each file, `about` the approximate total; `sha256` has one checksum per URL, or is empty. `trim` names
    what `trim.trimmed` removes, "" for nothing.
    """

    name: str
    title: str = ""
    author: str = ""
    language: str = ""
    licence: str = ""
    source: str = ""
    file: str = ""
    urls: tuple[str, ...] = ()
    size: int | None = None
    about: int | None = None
    sha256: tuple[str, ...] = ()
    trim: str = ""


def corpus_names() -> dict[str, dict[str, Any]]:
    """Return each named corpus with its fields in `corpora.toml`: title, author, language, licence, source.

    Raises `CorpusError` if the file is missing or broken.
    """
    try:
        entries: dict[str, dict[str, Any]] = tomllib.loads(_catalogue_text())
    except (OSError, ValueError) as error:  # ValueError: neither UTF-8 nor TOML
        raise CorpusError(
            f"the list of named corpora cannot be read ({error}); expected corpora.toml inside the package; "
            "reinstall numlstm"
        ) from error
    return entries


def entries() -> dict[str, Entry]:
    """Return the named corpora by name, in the catalogue's order. Raises `CorpusError` as `corpus_names` does."""
    return {name: _entry(name, said) for name, said in corpus_names().items()}


def entry(name: str) -> Entry:
    """Return the corpus of that name. Raises `CorpusError`, which lists the names, if there is none."""
    found = entries()
    if name not in found:
        raise CorpusError(f"no corpus is called {name!r}; expected one of {', '.join(found)}")
    return found[name]


def shipped_file(found: Entry) -> Path:
    """Return the path of a text that ships with the package. Raises `CorpusError` if it is missing."""
    path = _place(found.file)
    if not path.is_file():
        raise CorpusError(
            f"the text of the corpus {found.name} is not in this installation; expected {found.file} inside the "
            "package; reinstall numlstm"
        )
    return path


def ships(found: Entry) -> bool:
    """Return True if a corpus is on this machine without a download: made here, or shipped with the package."""
    return found.source == "stdlib" or (found.source == "package" and _place(found.file).is_file())


def _entry(name: str, said: dict[str, Any]) -> Entry:
    known = {field.name for field in dataclasses.fields(Entry)}
    values = {key: value for key, value in said.items() if key in known}
    return Entry(**{**values, "name": name, "urls": _several(said, "url"), "sha256": _several(said, "sha256")})


def _several(said: dict[str, Any], key: str) -> tuple[str, ...]:
    value = said.get(key, ())
    return (value,) if isinstance(value, str) else tuple(value)


def _catalogue_text() -> str:
    return _place("corpora.toml").read_text("utf-8")


def _place(file: str) -> Path:
    installed = Path(str(importlib.resources.files("numlstm") / "corpus"))
    checkout = Path(__file__).parents[3] / "corpus"
    return next((folder / file for folder in (installed, checkout) if (folder / file).is_file()), checkout / file)
