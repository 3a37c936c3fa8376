"""Zip archives from strangers: opened only if what they unpack to is of a reasonable size.

Knows nothing about what is in them.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import CorpusError

LARGEST = 256 << 20  # bytes that an archive may unpack to
MEMBERS = 20_000


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive for reading; raises `CorpusError` if it is none or would unpack to too much.

    What its members say of their size can be relied on: `zipfile` reads no more of them than that.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > LARGEST or len(members) > MEMBERS:
            raise CorpusError(
                f"it would unpack to {len(members):,} files of {total / 1e6:,.0f} MB; expected at most {MEMBERS:,} of "
                f"{LARGEST / 1e6:,.0f} MB"
            )
        yield archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a member; raises `KeyError` if there is none of that name."""
    with archive.open(archive.getinfo(name)) as file:
        return file.read(LARGEST)
