"""Convert a downloaded file to text: decode it, make all line ends `\\n`, and trim it as its entry says."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import CorpusError
from .gutenberg import without_gutenberg
from .wikitext import without_wikitext

_TRIMS: dict[str, Callable[[str], str]] = {
    "": lambda text: text,
    "gutenberg": without_gutenberg,
    "wikitext": without_wikitext,
}


def trimmed(data: bytes, trim: str, name: str) -> str:
    """Return the text of a file called `name`, trimmed by the rules `trim` ("" for none).

    Raises `CorpusError` if the file is not UTF-8 or nothing is left of it.
    """
    if trim not in _TRIMS:
        raise CorpusError(f"the trim of {name} is {trim!r}; expected gutenberg or wikitext; install a newer numlstm")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{name} is not text in UTF-8 (byte 0x{data[error.start]:02X} at offset {error.start}); expected UTF-8; "
            "the address may have changed: download the text by hand and give the file"
        ) from None
    text = _TRIMS[trim](text.replace("\r\n", "\n").replace("\r", "\n"))
    if not text.strip():
        raise CorpusError(
            f"{name} holds no text ({len(data):,} bytes received); expected some; download the text by hand and give "
            "the file"
        )
    return text
