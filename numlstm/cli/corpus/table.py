"""Print the named corpora as a table, and the advice of `train` without a text."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...text.sources.catalog import entries
from ...text.sources.named import is_offline, text_size

if TYPE_CHECKING:
    from ...text.sources.catalog import Entry

_REST = """
Or your own text: files, folders of .txt files, globs, or - for standard input;
100 kB is a good start. A corpus name takes precedence over a file of that name:
./python is the file.

  numlstm train diary.txt letters/

To combine many files into one text, also .html, .epub, .docx, .pdf and chats,
and to see what it is good for:

  numlstm corpus combine FOLDER -o all.txt
  numlstm corpus stats all.txt

For a first try, without a download:

  numlstm train tales

numlstm train --help lists the options."""


def show(found: Sequence[Entry]) -> None:
    """Print each corpus: name, size, whether it is downloaded, title; below that author, language and licence."""
    for entry, line in zip(found, _lines(found), strict=True):
        print(line)
        print(f"{'':{_indent(found)}}{entry.author}; {entry.language}; {entry.licence}")


def explain_choices() -> None:
    """Print to stderr what can be trained on: the named corpora, your own files, and a first command."""
    found = list(entries().values())
    shown = "\n".join(f"  {line}" for line in _lines(found))
    print(f"numlstm train needs a text to learn from.\n\nA named corpus:\n\n{shown}\n{_REST}", file=sys.stderr)


def size_shown(entry: Entry) -> str:
    """Return a corpus's size in kB or MB, or "" if it is unknown."""
    size, exact = text_size(entry)
    if size is None:
        return ""
    number = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    return number if exact else f"~{number}"


def _lines(found: Sequence[Entry]) -> Iterator[str]:
    # Not a rich table, which would make columns unreadably narrow to fit long titles.
    width = max(len(entry.name) for entry in found)
    for entry in found:
        language = "" if entry.language == "English" or entry.source == "stdlib" else f" ({entry.language})"
        yield f"{entry.name:{width}}  {size_shown(entry):>7}  {_state(entry):11}  {entry.title}{language}"


def _indent(found: Sequence[Entry]) -> int:
    return max(len(entry.name) for entry in found) + len("  ~0.0 MB  to download  ")


def _state(entry: Entry) -> str:
    if is_offline(entry):
        return "here"
    return "to download" if entry.source == "download" else "missing"
