"""Decode the bytes of a source to its exact text, piece by piece.

Newlines are left as they are; only a byte-order mark at the very start of a source is dropped.
"""

from __future__ import annotations

import codecs
import io
import itertools
from collections.abc import Callable, Iterator

from ...errors import CorpusError
from .find import Source

# These codecs pass a byte-order mark on as a character; the others of their families consume it.
_PASS_MARK_ON = frozenset({"utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"})
# The utf-32 mark starts with the utf-16 mark, so it comes first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
# How files that are not text begin, and what to do with them.
_NOT_TEXT = (
    (b"PK\x03\x04", "a zip archive, such as a .docx, .epub or .npz file: numlstm corpus combine reads documents"),
    (b"%PDF", "a PDF: numlstm corpus combine reads it"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
)


def check_encoding(encoding: str) -> None:
    """Raise `CorpusError` unless `encoding` names a text encoding that Python knows."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # also rejects codecs such as hex, which produce no text
        codecs.getincrementaldecoder(encoding)
    except (LookupError, ValueError) as error:
        raise CorpusError(
            f"{encoding!r} is not a known text encoding; expected a name such as utf-8, utf-16, latin-1, "
            "cp1252 or cp949 for `encoding`"
        ) from error


def pieces(source: Source, encoding: str, read: Callable[[int], None] | None = None) -> Iterator[str]:
    """Yield the text of a source from the start, in pieces that are not empty; `read` is as in `Source.chunks`.

    Raises `CorpusError` if the bytes cannot be read or are not in `encoding`.
    """
    encoding = source.encoding or encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    mark_may_come = codecs.lookup(encoding).name in _PASS_MARK_ON
    head, size = b"", 0
    for chunk in itertools.chain(source.chunks(read), [b""]):
        head, size = head or chunk[:4], size + len(chunk)
        try:
            piece = decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            raise _undecodable(source.name, encoding, error, head, size) from error
        if piece and mark_may_come:
            piece, mark_may_come = piece.removeprefix("\ufeff"), False
        if piece:
            yield piece


def _undecodable(name: str, encoding: str, error: UnicodeError, head: bytes, size: int) -> CorpusError:
    where = "the bytes do not decode"
    if isinstance(error, UnicodeDecodeError):
        # The decoder's buffer starts with bytes left over from earlier chunks and ends where reading stopped.
        offset = size - len(error.object) + error.start
        where = f"the byte 0x{error.object[error.start]:02X} at offset {offset} does not decode"
    return CorpusError(f"{name!r} is not in {encoding}: {where}; {_advice(encoding, head)}")


def _advice(encoding: str, head: bytes) -> str:
    for magic, kind in _NOT_TEXT:
        if head.startswith(magic):
            return f"it is not text but {kind}"
    name = codecs.lookup(encoding).name
    marked = next((family for mark, family in _MARKS if head.startswith(mark)), None)
    if marked and marked != name.removesuffix("-sig"):
        return f"it starts with the byte-order mark of {marked}: use `encoding` {marked}"
    if not marked and name in ("utf-16", "utf-32"):
        return f"without a byte-order mark use `encoding` {encoding}-le or {encoding}-be"
    return "name its encoding, for example with `encoding` latin-1"
