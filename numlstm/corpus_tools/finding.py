"""Find the files of folders, at any depth, in the order of their names, and count those left out."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import CorpusError

Found = tuple[str, Path]  # the name to display, and the path


def find_files(
    places: Sequence[str], suffixes: Sequence[str], order: Callable[[str], Any], leave_out: Path
) -> tuple[list[Found], collections.Counter[str]]:
    """Return the files among `places`, and those in the folders among them whose names end with one of `suffixes`.

    Also return the number of other files in the folders, by extension. Hidden files and folders are skipped, and so are
    `leave_out` and links to folders. Raises `CorpusError` if a place does not exist or is itself `leave_out`, or if
    nothing is found.
    """
    found: list[Found] = []
    others: collections.Counter[str] = collections.Counter()
    left_out = os.path.realpath(leave_out)
    for place in places:
        if os.path.isfile(place):
            if os.path.realpath(place) == left_out:
                raise CorpusError(f"{place} is both input and output; expected another name for the output")
            inside = [(place, Path(place))]
        elif os.path.isdir(place):
            inside = _inside(place, suffixes, order, others)
        else:
            raise CorpusError(f"there is no file or folder {place!r}; expected one that exists")
        found += [each for each in inside if os.path.realpath(each[1]) != left_out]
    if not found:
        raise CorpusError(
            f"there is no {', '.join(suffixes)} file in {', '.join(places)}; expected at least one, at any depth"
        )
    return found, others


def _inside(
    place: str, suffixes: Sequence[str], order: Callable[[str], Any], others: collections.Counter[str]
) -> list[Found]:
    def fail(error: OSError) -> None:
        raise CorpusError(f"{error.filename or place!r} cannot be read ({error.strerror}); check its permissions")

    names = []
    for folder, below, files in os.walk(place, onerror=fail):
        below[:] = [name for name in below if not name.startswith(".")]
        for file in files:
            if file.startswith("."):
                continue
            if file.lower().endswith(tuple(suffixes)):
                names.append(Path(folder, file).relative_to(place).as_posix())
            else:
                others[Path(file).suffix.lower() or "no ending"] += 1
    return [(str(Path(place, name)), Path(place, name)) for name in sorted(names, key=order)]
