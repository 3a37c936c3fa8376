"""Read documents of the known types, by file extension, as pieces of text with `\\n` line ends.

Text files are streamed; all others are read at once, up to a size limit. Whatever is wrong with a file raises
`CorpusError`, so that the caller can go on with the next one.
"""

from __future__ import annotations

import codecs
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import CorpusError
from ..text.sources.decode import pieces
from ..text.sources.find import Source
from .archive import open_archive
from .epub import text_of_epub
from .markup import decode_markup, text_of_markup
from .office import text_of_docx
from .pdf import text_of_pdf

LARGEST = 128 << 20  # bytes of a file that is read at once

TEXT = (".txt", ".md", ".markdown", ".text")
# The utf-32 mark starts with the utf-16 mark, so it comes first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _of_html(path: Path) -> str:
    return text_of_markup(decode_markup(path.read_bytes()))


def _of_epub(path: Path) -> str:
    with open_archive(path) as archive:
        return text_of_epub(archive)


_READERS: dict[str, Callable[[Path], str]] = {
    ".html": _of_html,
    ".htm": _of_html,
    ".xhtml": _of_html,
    ".epub": _of_epub,
    ".docx": text_of_docx,
    ".pdf": text_of_pdf,
}
KNOWN = (*TEXT, *_READERS)


def document(path: Path, encoding: str) -> Iterable[str]:
    """Return the text of a file in pieces; `encoding` applies to text files without a byte-order mark.

    A file with an unknown extension is read as a text file. Raises `CorpusError` if the file cannot be read.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        return text_file(path, encoding)
    return [read_at_once(path, reader)]


def text_file(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a text file in pieces, compressed or not. Raises `CorpusError` if it cannot be read."""
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    for piece in pieces(Source(str(path)), _marked(path) or encoding):
        yield newlines.decode(piece)
    yield newlines.decode("", final=True)


def read_at_once(path: Path, reader: Callable[[Path], str]) -> str:
    """Return the text that `reader` extracts from a file. Raises `CorpusError` for any failure."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise CorpusError(f"it has {size / 1e6:,.0f} MB; expected at most {LARGEST / 1e6:,.0f} MB")
        text = reader(path)
    except CorpusError:
        raise
    except zipfile.BadZipFile:
        raise CorpusError("it is damaged or of another type: not a zip archive") from None
    except OSError as error:
        raise CorpusError(f"it cannot be read: {error.strerror or error}") from None
    except Exception as error:  # each library has errors of its own, and broken files raise all of them
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise CorpusError(f"it is damaged or of another type ({reason})") from None
    # Lone surrogates, as in broken JSON and PDF files, could not be written.
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")


def _marked(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError:
        return None  # reading the file raises the error
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
