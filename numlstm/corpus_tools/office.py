"""Extract the text of a Word document (.docx): paragraphs and table cells, in order.

python-docx reads it, with entities disabled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import CorpusError
from .archive import open_archive

# Not deleted text, text moved elsewhere, text boxes, or the pronunciation of characters.
_RUNS = ".//w:r[not(ancestor::w:del or ancestor::w:moveFrom or ancestor::w:txbxContent or ancestor::w:rt)]"
_AROUND = ("sdt", "sdtContent", "customXml", "ins", "moveTo")  # elements that may enclose paragraphs


def text_of_docx(path: Path) -> str:
    """Return the text of a document, one line per paragraph.

    Raises `CorpusError` if python-docx is not installed or the file would unpack to too much, and whatever python-docx
    raises for a broken file.
    """
    try:
        import docx
    except ImportError:
        raise CorpusError("it needs python-docx: pip install 'numlstm[documents]'") from None
    with open_archive(path):
        document: Any = docx.Document(str(path))
    return "\n".join(_lines(document.element.body)) + "\n"


def _lines(parent: Any) -> Iterator[str]:
    """Yield paragraphs and table rows, including insertions and content controls, which python-docx leaves out."""
    for element in parent.iterchildren("{*}*"):
        kind = element.tag.rpartition("}")[2]
        if kind == "p":
            yield "".join(run.text for run in element.xpath(_RUNS))
        elif kind == "tbl":
            # Not `row.cells`, which repeats a merged cell for every cell that it covers, possibly billions of times.
            yield from ("\t".join("\n".join(_lines(cell)) for cell in row.tc_lst) for row in element.tr_lst)
        elif kind in _AROUND:
            yield from _lines(element)
