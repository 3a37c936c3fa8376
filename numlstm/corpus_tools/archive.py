"""Open untrusted zip archives, but only if they unpack to a reasonable size."""

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
    """Context manager: open a zip archive for reading.

    Raises `zipfile.BadZipFile` if it is not one and `CorpusError` if it would unpack to too much. The declared sizes
    of its members can be trusted, because `zipfile` reads no more than that.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > LARGEST or len(members) > MEMBERS:
            raise CorpusError(
                f"it would unpack to {len(members):,} files, {total / 1e6:,.0f} MB in all; expected at most "
                f"{MEMBERS:,} files and {LARGEST / 1e6:,.0f} MB"
            )
        yield archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a member. Raises `KeyError` if there is none of that name."""
    with archive.open(archive.getinfo(name)) as file:
        return file.read(LARGEST)
