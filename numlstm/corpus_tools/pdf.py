"""Extract the text of a PDF file, page by page, if it holds text and not only images of it.

pypdf reads it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..errors import CorpusError


def text_of_pdf(path: Path) -> str:
    """Return the text of all pages, separated by empty lines.

    Raises `CorpusError` if pypdf is not installed, the file is locked or it holds no text, and whatever pypdf raises
    for a broken file.
    """
    try:
        import pypdf
    except ImportError:
        raise CorpusError("it needs pypdf: pip install 'numlstm[documents]'") from None
    logger = logging.getLogger("pypdf")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # it logs every small fault, and reads on
    try:
        reader: Any = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise CorpusError("it is locked with a password")
        pages = [page.extract_text().strip("\n") for page in reader.pages]
    finally:
        logger.setLevel(before)
    text = "\n\n".join(page for page in pages if page.strip())
    if not text:
        raise CorpusError("it holds no text, perhaps only images of pages")
    return text + "\n"
