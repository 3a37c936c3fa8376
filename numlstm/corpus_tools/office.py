"""The text of a Word document (.docx): paragraphs and the cells of tables, in their order.

python-docx reads it, with entities switched off. Knows nothing about what is done with the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import CorpusError
from .archive import open_archive

# Not what was deleted, or moved elsewhere, nor text in boxes, nor how to read a character.
_RUNS = ".//w:r[not(ancestor::w:del or ancestor::w:moveFrom or ancestor::w:txbxContent or ancestor::w:rt)]"
_AROUND = ("sdt", "sdtContent", "customXml", "ins", "moveTo")  # what may stand around paragraphs


def text_of_docx(path: Path) -> str:
    """Return the text of a document, a line a paragraph.

    Raises `CorpusError` if the package for it is missing or the file would unpack to too much, and whatever
    python-docx raises for a file that is broken.
    """
    try:
        import docx
    except ImportError:
        raise CorpusError("it needs python-docx: pip install 'numlstm[documents]'") from None
    with open_archive(path):
        document: Any = docx.Document(str(path))
    return "\n".join(_lines(document.element.body)) + "\n"


def _lines(parent: Any) -> Iterator[str]:
    """Give the paragraphs and the rows of tables; python-docx leaves out what was inserted, and content controls."""
    for element in parent.iterchildren("{*}*"):
        kind = element.tag.rpartition("}")[2]
        if kind == "p":
            yield "".join(run.text for run in element.xpath(_RUNS))
        elif kind == "tbl":
            # Not the rows' `cells`, which have a merged cell for each that it covers, be they thousands of millions.
            yield from ("\t".join("\n".join(_lines(cell)) for cell in row.tc_lst) for row in element.tr_lst)
        elif kind in _AROUND:
            yield from _lines(element)
