"""The named corpora as a table, and what `train` says when it was given no text.

Knows nothing about how a corpus is found or downloaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ..text.catalog import entries
from ..text.named import is_here, text_size
from .options import stderr

if TYPE_CHECKING:
    from ..text.catalog import Entry


def show(found: Sequence[Entry]) -> None:
    """Print each corpus with title, author, language, licence, size and whether it is here."""
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "size", "", "language", "title", "author", "licence"):
        table.add_column(heading, justify="right" if heading == "size" else "left", overflow="fold")
    for entry in found:
        cells = (entry.language.partition(",")[0], entry.title, entry.author, entry.licence)
        table.add_row(entry.name, size_shown(entry), _state(entry), *cells)
    width = None if sys.stdout.isatty() else 250
    Console(highlight=False, markup=False, soft_wrap=True, width=width).print(table)


def explain_choices() -> None:
    """Say on stderr what can be trained on: the named corpora, files of one's own, and a first command."""
    console = stderr()
    console.print("numlstm train needs a text to learn from.\n\nA named corpus:")
    table = Table(box=None, pad_edge=False, show_header=False)
    for entry in entries().values():
        language = "" if entry.language == "English" or entry.source == "stdlib" else f" ({entry.language})"
        table.add_row(f"  {entry.name}", size_shown(entry), _state(entry), f"{entry.title}{language}")
    table.columns[1].justify = "right"
    for column in table.columns:
        column.no_wrap = True
    table.columns[3].overflow = "ellipsis"
    console.print(table, markup=False)
    for line in _REST:
        console.print(line, markup=False)


_REST = (
    "",
    "Or your own: files, folders of .txt files, globs, or - for standard input; 100 kB is a good beginning.",
    "  numlstm train diary.txt letters/",
    "A name wins over a file of the same name: ./python is the file. To make one text of many files,",
    "also .html, .epub, .docx, .pdf and chats, and to see what it is good for:",
    "  numlstm corpus combine FOLDER -o all.txt",
    "  numlstm corpus stats all.txt",
    "",
    "To begin with, without a network:",
    "  numlstm train tales",
    "",
    "numlstm train --help lists the options.",
)


def _state(entry: Entry) -> str:
    if is_here(entry):
        return "here"
    return "to download" if entry.source == "download" else "missing"


def size_shown(entry: Entry) -> str:
    """Return a corpus's size for a person to read, "" if it is not known."""
    size, exact = text_size(entry)
    if size is None:
        return ""
    number = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    return number if exact else f"~{number}"
