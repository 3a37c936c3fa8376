"""The text of a Word document (.docx): paragraphs and the cells of tables, in their order.

python-docx reads it, with entities switched off. Knows nothing about what is done with the text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import CorpusError
from .archive import open_archive


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
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Any) -> list[str]:
    found: list[str] = []
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            found += ["\t".join(_cells(row, block)) for row in block.rows]
        else:
            found.append(block.text)
    return found


def _cells(row: Any, table: Any) -> list[str]:
    """Return the texts of a row's cells as the file has them.

    `row.cells` has a merged cell once for each that it covers, be they thousands of millions.
    """
    from docx.table import _Cell

    return [_Cell(cell, table).text for cell in row._tr.tc_lst]
