"""Read a text of which nobody knows the encoding, and find out what is wrong with it on the way.

Each source is read as what its first bytes say or as UTF-8, and where that fails as Windows' cp949 if that makes Korean
of it, else as its cp1252, which has a character for most bytes. Knows nothing about statistics.
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
    """A source, the encoding that it was found to be in, and whether that is no more than a guess."""

    source: Source
    encoding: str
    guessed: bool = False

    def pieces(self) -> Iterator[str]:
        """Read the text from the start; raises `CorpusError` if it cannot be read."""
        if self.encoding != "cp1252" or not self.guessed:
            yield from pieces(self.source, self.encoding)
            return
        for chunk in self.source.chunks():
            yield chunk.decode("cp1252", "replace")


def find_encoding(source: Source, wanted: str | None, told: Callable[[int], None] | None = None) -> Read:
    """Return a source with the encoding that it is in: `wanted`, if that was said and fits, else what fits.

    Raises `CorpusError` if it cannot be read, or is not in `wanted`.
    """
    if wanted is not None:
        check_encoding(wanted)
        for _ in pieces(source, wanted, told):
            pass
        return Read(source, source.encoding or wanted)
    head = next(source.chunks(), b"")[:4]
    encoding = next((family for mark, family in _MARKS if head.startswith(mark)), source.encoding or "utf-8")
    try:
        for _ in pieces(source, encoding, told):
            pass
    except CorpusError as error:
        if "does not decode" not in str(error) and "do not decode" not in str(error):
            raise
        return Read(source, "cp949" if _is_korean(source) else "cp1252", guessed=True)
    return Read(source, encoding)


def _is_korean(source: Source) -> bool:
    """Whether a source can be read as cp949, and most of it beyond ASCII is then Hangul."""
    hangul = beyond = 0
    try:
        for piece in pieces(source, "cp949"):
            hangul += len(_HANGUL.findall(piece))
            beyond += len(_BEYOND_ASCII.findall(piece))
    except CorpusError:
        return False
    return 2 * hangul > beyond
