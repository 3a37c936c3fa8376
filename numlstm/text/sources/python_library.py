"""The corpus `python`: source code of the running Python's standard library.

Nothing is downloaded. The files are joined in an order that does not depend on the file system, so that one Python
release gives one text.
"""

from __future__ import annotations

import os
import string
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from ...errors import CorpusError

_SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "__pycache__", "site-packages"})
# Tests, an editor, a second parser and generated tables: poor training text, and most of the bytes.
_SKIPPED_PACKAGES = frozenset({"test", "idlelib", "lib2to3", "encodings", "pydoc_data"})
_SKIPPED_FILES = frozenset({"html/entities.py"})

# Files with any other character (tabs, form feeds, accented names) are left out: the few that have them would add
# symbols that are too rare to be learned.
_PLAIN = frozenset(string.ascii_letters + string.digits + string.punctuation + " \n")


def python_source(limit: int = 2_000_000) -> str:
    """Return up to `limit` characters of the standard library's source, whole lines of plain ASCII.

    Single-file modules come before packages and public names before private ones, each sorted by path;
    newlines are `\\n` on every system. Raises `CorpusError` if the sources are not on this machine.
    """
    root = Path(sysconfig.get_path("stdlib"))
    pieces, size = [], 0
    for text in _texts(root):
        pieces.append(text)
        size += len(text)
        if size >= limit:
            break
    if not pieces:
        raise CorpusError(
            f"there is no source code of Python's standard library in {str(root)!r}; expected its .py files (some "
            "builds leave them out); give a text file or folder instead of the corpus python"
        )
    return _cut("".join(pieces), limit)


def _texts(root: Path) -> Iterator[str]:
    for path in _files(root):
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if text and set(text) <= _PLAIN:
            yield text if text.endswith("\n") else text + "\n"


def _files(root: Path) -> Iterator[Path]:
    names = sorted(sys.stdlib_module_names - _SKIPPED_PACKAGES, key=lambda name: (name.startswith("_"), name))
    yield from (root / f"{name}.py" for name in names)
    for name in names:
        found = {f"{name}/{path}" for path in _walk(root / name)}
        yield from (root / path for path in sorted(found - _SKIPPED_FILES))


def _walk(package: Path) -> Iterator[str]:
    for folder, below, files in os.walk(package):
        below[:] = [name for name in below if name not in _SKIPPED_FOLDERS]
        for name in files:
            if name.endswith(".py"):
                yield Path(folder, name).relative_to(package).as_posix()


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: text.rfind("\n", 0, limit) + 1] or text[:limit]
