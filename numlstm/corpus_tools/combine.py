"""Combine many files into one text: in order, each once, with a delimiter between; unreadable files are skipped.

Text files are streamed: only one paragraph at a time is in memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from ..errors import CorpusError
from .documents import KNOWN, document
from .exports import export, format_of, order
from .finding import find_files
from .repeats import Paragraphs

Report = Callable[[str, int, int], None]
"""Progress callback: called with the task, the bytes of the files read so far, and their total."""


@dataclasses.dataclass(frozen=True)
class CombineOptions:
    """How to combine files; `names` None writes the names unless only one `sender` is kept."""

    delimiter: str = "\n"
    encoding: str = "utf-8"
    keep_repeats: bool = False
    format: str | None = None
    sender: str | None = None
    names: bool | None = None


@dataclasses.dataclass
class Combined:
    """What became of the files: `skipped` pairs names with reasons, `repeated` with the files that they repeat."""

    files: int = 0
    characters: int = 0
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    repeated: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    without_text: list[str] = dataclasses.field(default_factory=list)
    paragraphs: int = 0
    paragraph_characters: int = 0
    others: dict[str, int] = dataclasses.field(default_factory=dict)


def combine(
    places: Sequence[str], target: Path, out: IO[bytes], options: CombineOptions, report: Report | None = None
) -> Combined:
    """Write the texts of files and folders to `out`; `target` is the output's path, which is not read itself.

    Raises `CorpusError` if a place does not exist or no file yields text, and `ConfigError` for an unknown format.
    """
    form = format_of(options.format) if options.format else None
    found, others = find_files(places, form.suffixes if form else KNOWN, order, target)
    names = options.names if options.names is not None else options.sender is None

    def read(path: Path) -> Iterable[str]:
        if path.exists() and not path.is_file():  # opening a pipe would block forever
            raise CorpusError("it is a device or a pipe")
        return export(path, form, options.sender, names) if form else document(path, options.encoding)

    done = Combined(others=dict(others.most_common()))
    joiner = _Joiner(out, options, done)
    sizes = [_size(path) for _, path in found]
    for place, (shown, path) in enumerate(found):
        if report:
            report("combining", sum(sizes[:place]), sum(sizes))
        try:
            joiner.add(shown, lambda path=path: read(path))  # type: ignore[misc]
        except CorpusError as error:
            done.skipped.append((shown, str(error)))
    done.paragraphs, done.paragraph_characters = joiner.paragraphs.left_out, joiner.paragraphs.characters
    if not done.characters:
        why = f": {done.skipped[0][0]}: {done.skipped[0][1]}" if done.skipped else ""
        whose = f" by {options.sender!r}" if options.sender else ""
        files = "file" if len(found) == 1 else "files"
        raise CorpusError(f"found no text{whose} in {len(found):,} {files}{why}; nothing was written")
    return done


class _Joiner:
    """Writes the texts one after another, each once."""

    def __init__(self, out: IO[bytes], options: CombineOptions, done: Combined) -> None:
        self.out, self.options, self.done = out, options, done
        self.paragraphs = Paragraphs(keep=options.keep_repeats)
        self.known: dict[bytes, str] = {}

    def add(self, shown: str, read: Callable[[], Iterable[str]]) -> None:
        """Write a file's text. If it cannot be read, raises `CorpusError` before writing any of it."""
        sha, blank = hashlib.sha256(), True
        text = read()
        for piece in text:
            sha.update(piece.encode("utf-8", "surrogatepass"))
            blank = blank and not piece.strip()
        if blank:
            self.done.without_text.append(shown)
            return
        digest = sha.digest()
        if digest in self.known and not self.options.keep_repeats:
            self.done.repeated.append((shown, self.known[digest]))
            return
        self.known[digest] = shown
        written = False
        again = text if isinstance(text, list) else read()  # a PDF takes too long to read twice
        for piece in self.paragraphs.without_repeats(again):
            if not written and self.done.files:
                self._write(self.options.delimiter)
            self._write(piece)
            written = True
        if written:
            self.done.files += 1
        else:
            self.done.repeated.append((shown, "other files"))

    def _write(self, text: str) -> None:
        self.out.write(text.encode("utf-8", "replace"))
        self.done.characters += len(text)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
