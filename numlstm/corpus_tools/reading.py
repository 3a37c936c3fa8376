"""Detect the encoding of a text, and read it.

A source is decoded by its byte-order mark, else as UTF-8. If that fails, it is decoded as Windows' cp949 if the result
is Korean, else as Windows' cp1252, which has a character for most bytes.
"""

from __future__ import annotations

import codecs
import dataclasses
import re
from collections.abc import Callable, Iterator

from ..errors import CorpusError
from ..text.sources.decode import check_encoding, pieces
from ..text.sources.find import Source

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HANGUL, _BEYOND_ASCII = re.compile("[가-힣]"), re.compile(r"[^\x00-\x7f]")


@dataclasses.dataclass(frozen=True)
class Read:
    """A source, its detected encoding, and whether that is only a guess."""

    source: Source
    encoding: str
    guessed: bool = False

    def pieces(self) -> Iterator[str]:
        """Yield the text from the start, in pieces. Raises `CorpusError` if it cannot be read."""
        if self.encoding != "cp1252" or not self.guessed:
            yield from pieces(self.source, self.encoding)
            return
        for chunk in self.source.chunks():
            yield chunk.decode("cp1252", "replace")


def find_encoding(source: Source, wanted: str | None, report: Callable[[int], None] | None = None) -> Read:
    """Return a source with its encoding: `wanted` if given, else the detected one.

    Raises `CorpusError` if the source cannot be read, or is not in `wanted`.
    """
    if wanted is not None:
        check_encoding(wanted)
        for _ in pieces(source, wanted, report):
            pass
        return Read(source, source.encoding or wanted)
    head = next(source.chunks(), b"")[:4]
    encoding = next((family for mark, family in _MARKS if head.startswith(mark)), source.encoding or "utf-8")
    try:
        for _ in pieces(source, encoding, report):
            pass
    except CorpusError as error:
        if "does not decode" not in str(error) and "do not decode" not in str(error):
            raise
        return Read(source, "cp949" if _is_korean(source) else "cp1252", guessed=True)
    return Read(source, encoding)


def _is_korean(source: Source) -> bool:
    """Return True if a source decodes as cp949 and most of its non-ASCII characters are then Hangul."""
    hangul = beyond = 0
    try:
        for piece in pieces(source, "cp949"):
            hangul += len(_HANGUL.findall(piece))
            beyond += len(_BEYOND_ASCII.findall(piece))
    except CorpusError:
        return False
    return 2 * hangul > beyond
