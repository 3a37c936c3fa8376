"""The catalogue of named corpora, as `corpora.toml` lists them, and the texts that ship beside it.

The files lie in the installed package, or at the top of a source checkout. Knows nothing about how a text is
downloaded, trimmed or read.
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
    """What is known of a named corpus.

    `source` is "stdlib", "package" (then `file` is its name there) or "download" (then there are `urls`). `size` is the
    exact number of bytes of each file, `about` the rough number of all; `sha256` has one for each URL, or none. `trim`
    names what `trim.trimmed` is to take away, "" for nothing.
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
    """Return each named corpus with what `corpora.toml` says of it: title, author, language, licence, source.

    Raises `CorpusError` if the file is missing or broken.
    """
    try:
        entries: dict[str, dict[str, Any]] = tomllib.loads(_catalogue_text())
    except (OSError, ValueError) as error:  # ValueError: bytes that are no UTF-8, or text that is no TOML
        raise CorpusError(
            f"the list of named corpora does not read ({error}); expected corpora.toml inside the package; "
            "install numlstm again"
        ) from error
    return entries


def entries() -> dict[str, Entry]:
    """Return each named corpus by its name, in the catalogue's order; raises `CorpusError` as `corpus_names` does."""
    return {name: _entry(name, said) for name, said in corpus_names().items()}


def entry(name: str) -> Entry:
    """Return a named corpus; raises `CorpusError`, which lists the names, if there is none of that name."""
    found = entries()
    if name not in found:
        raise CorpusError(f"no corpus is called {name!r}; expected one of {', '.join(found)}")
    return found[name]


def shipped_file(found: Entry) -> Path:
    """Return the path of a text that ships with the package; raises `CorpusError` if it is not there."""
    path = _place(found.file)
    if not path.is_file():
        raise CorpusError(
            f"the text of the corpus {found.name} is not in this installation; expected {found.file} inside the "
            "package; install numlstm again"
        )
    return path


def ships(found: Entry) -> bool:
    """Whether a corpus is on every machine: it is put together there, or came with the package."""
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
