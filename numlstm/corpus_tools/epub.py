"""Extract the text of an EPUB e-book: a zip archive of XHTML pages, read in the order of its spine.

Uses the tolerant HTML parser instead of an XML parser: it is not open to attacks by entity expansion.
"""

from __future__ import annotations

import posixpath
import zipfile
from html.parser import HTMLParser
from urllib.parse import unquote

from ..errors import CorpusError
from .archive import read_member
from .markup import decode_markup, text_of_markup

_Tag = tuple[str, dict[str, str]]


def text_of_epub(archive: zipfile.ZipFile) -> str:
    """Return the text of a book. Raises `CorpusError` if it is not an EPUB, is locked or has no pages."""
    names = set(archive.namelist())
    if "META-INF/rights.xml" in names:
        raise CorpusError("the book is locked (DRM)")
    pages = [name for name in dict.fromkeys(_spine(archive)) if name in names]  # each once, even if listed twice
    if _encrypted(archive, names) & set(pages):
        raise CorpusError("the book is locked (DRM)")
    if not pages:
        raise CorpusError("the book has no pages")
    return "\n\n".join(text_of_markup(decode_markup(read_member(archive, name))).strip("\n") for name in pages) + "\n"


def _spine(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the pages in reading order."""
    container = _tags(archive, "META-INF/container.xml")
    package = next((said["full-path"] for tag, said in container if tag == "rootfile" and "full-path" in said), None)
    if package is None:
        raise CorpusError("it is not an EPUB: it names no package file")
    said_of = _tags(archive, package)
    files = {said.get("id"): said.get("href", "") for tag, said in said_of if tag == "item"}
    order = [said for tag, said in said_of if tag == "itemref" and said.get("linear") != "no"]
    folder = posixpath.dirname(package)
    found = [files[said.get("idref")] for said in order if said.get("idref") in files]
    return [posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0]))) for href in found]


def _encrypted(archive: zipfile.ZipFile, names: set[str]) -> set[str]:
    """Return the names of the encrypted files; a book that is not locked has at most its fonts encrypted."""
    if "META-INF/encryption.xml" not in names:
        return set()
    found = _tags(archive, "META-INF/encryption.xml")
    return {posixpath.normpath(unquote(said.get("uri", ""))) for tag, said in found if tag == "cipherreference"}


def _tags(archive: zipfile.ZipFile, name: str) -> list[_Tag]:
    try:
        data = read_member(archive, name)
    except KeyError:
        raise CorpusError(f"it is not an EPUB: {name} is missing") from None
    scanner = _Tags()
    scanner.feed(decode_markup(data))
    scanner.close()
    return scanner.found


class _Tags(HTMLParser):
    """Collects the tags of an XML file, without namespace prefixes, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Tag] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag.rpartition(":")[2], {name: value or "" for name, value in attrs}))
