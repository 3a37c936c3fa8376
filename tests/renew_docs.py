"""Update the documents after a shipped model or an option has changed: `python -m tests.renew_docs`.

Rewrites only the blocks and tables that the tests compare, and the pictures that show a shipped model. The prose around
them has to be checked by hand.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.documents import DOCUMENTS, FENCE, ROOT, blocks, is_run, read, shipped_in, with_settings
from tests.test_docs import Reader

PICTURES = ROOT / "docs" / "pictures"
PROMPT = "\nThe king is d"  # starts with a newline, as generation does


def renewed(name: str, reader: Reader) -> str:
    """Return a document with the current output of its commands that use shipped models."""
    text, last = read(name), None
    edits = []
    for found, block in zip(FENCE.finditer(text), blocks(text), strict=True):
        if is_run(block):
            last = block
        elif block.mark == "prints" and last is not None and shipped_in(last):
            reader.read(last)
            edits.append((found.start("text"), found.end("text"), reader.printed.rstrip("\n") + "\n"))
    for start, end, printed in reversed(edits):
        text = text[:start] + printed + text[end:]
    return text


def draw(folder: Path, reader: Reader) -> None:
    """Redraw the pictures that show a shipped model; `cells.svg` is drawn by the tutorial's own command."""
    words = [sys.executable, str(PICTURES / "make.py"), "--expect", "shakespeare", PROMPT, "temperature"]
    subprocess.run(words, check=True)
    (look,) = [block for block in blocks(read("docs/tutorial.md")) if "-o cells.svg" in block.text]
    reader.read(look)
    shutil.copy(reader.folder / "cells.svg", PICTURES)


def main() -> None:
    """Update all documents and pictures."""
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        for name in DOCUMENTS:
            (ROOT / name).write_text(with_settings(renewed(name, reader)), "utf-8", newline="\n")
        draw(Path(folder), reader)


if __name__ == "__main__":
    main()
