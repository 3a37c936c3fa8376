"""The text of a PDF file, page by page, as far as it holds text and not only pictures of it.

pypdf reads it. Knows nothing about what is done with the text.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..errors import CorpusError


def text_of_pdf(path: Path) -> str:
    """Return the text of all pages, an empty line between two.

    Raises `CorpusError` if the package for it is missing, the file is locked, or there is no text in it, and whatever
    pypdf raises for a file that is broken.
    """
    try:
        import pypdf
    except ImportError:
        raise CorpusError("it needs pypdf: pip install 'numlstm[documents]'") from None
    logger = logging.getLogger("pypdf")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # it tells of every small fault, and reads on
    try:
        reader: Any = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise CorpusError("it is locked with a password")
        pages = [page.extract_text().strip("\n") for page in reader.pages]
    finally:
        logger.setLevel(before)
    text = "\n\n".join(page for page in pages if page.strip())
    if not text:
        raise CorpusError("it holds no text, perhaps only pictures of pages")
    return text + "\n"
