"""Find the texts that the user names: corpora, files, folders, globs, URLs and standard input, as streams of bytes.

Each name becomes a list of `Source`, which can be read more than once. Compressed files are decompressed on the fly.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import glob
import io
import os
import stat
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from ...errors import CorpusError
from ...storage import remote
from .catalog import corpus_names, entry
from .compressed import SUFFIXES, decompressed
from .named import text_of
from .named_downloads import Report

CHUNK_BYTES = 1 << 16
HELD_BYTES = 64 << 20  # the largest stream that can be read only once to keep in memory

Stamp = tuple[int | None, str]  # the size in bytes, if known, and the modification time or version, "" if unknown


@dataclasses.dataclass(frozen=True)
class Source:
    """One text: its name (absolute path, URL, corpus name or `-`), and its bytes if they are not in a file.

    `encoding` is set if it is known, and then overrides the user's. `kept` is an unnamed temporary file with the bytes
    of a stream that could be read only once.
    """

    name: str
    data: bytes | None = None
    encoding: str | None = None
    kept: IO[bytes] | None = None

    @property
    def is_unnamed(self) -> bool:
        """True if the same bytes cannot be found again by name."""
        return self.data is not None or self.kept is not None

    def chunks(self, read: Callable[[int], None] | None = None) -> Iterator[bytes]:
        """Yield the bytes from the start, in pieces of up to `CHUNK_BYTES`, decompressed if needed.

        Calls `read` with the number of bytes that each read took from the file. Raises `CorpusError` if reading fails.
        """
        try:
            with self._open() as raw, io.BufferedReader(_CountingReader(raw, read), CHUNK_BYTES) as file:
                yield from decompressed(file, self.name, CHUNK_BYTES)
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def stamp(self) -> Stamp:
        """Return the size and modification time, which reveal a change of the text.

        Raises `CorpusError` if they cannot be read.
        """
        if self.data is not None:
            return len(self.data), ""
        if self.kept is not None:
            return self.kept.seek(0, os.SEEK_END), ""
        try:
            if remote.is_remote(self.name):
                return remote.version(self.name)
            found = os.stat(self.name)
        except OSError as error:
            raise _unreadable(self.name, error) from error
        return found.st_size, str(found.st_mtime_ns)

    def held(self) -> Source:
        """Return the source, its bytes read into memory if it is remote. Raises `CorpusError` if that fails."""
        if self.is_unnamed or not remote.is_remote(self.name):
            return self
        try:
            with remote.open_to_read(self.name) as file:
                return dataclasses.replace(self, data=file.read())
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def _open(self) -> contextlib.AbstractContextManager[IO[bytes]]:
        if self.data is not None:
            return io.BytesIO(self.data)
        if self.kept is not None:
            self.kept.seek(0)
            return contextlib.nullcontext(self.kept)  # not closed: it may be read again
        if remote.is_remote(self.name):
            return remote.open_to_read(self.name)
        return open(self.name, "rb", 0)


class _CountingReader(io.RawIOBase):
    """Wraps a file and reports the number of bytes read."""

    def __init__(self, file: IO[bytes], report: Callable[[int], None] | None) -> None:
        self.file, self.report = file, report

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        if self.report:
            self.report(len(data))
        return len(data)


def resolve(given: Sequence[str | Source], stdin: BinaryIO | None, report: Report | None = None) -> list[Source]:
    """Return the sources that the user's words name, in order; `-` reads `stdin`.

    A named corpus is downloaded if needed, with the progress passed to `report`. Raises `CorpusError` if a word names
    nothing, or something that cannot be read.
    """
    if not given:
        raise CorpusError(f"no text given; expected {_expected()}")
    if list(given).count("-") > 1:
        raise CorpusError("standard input (-) is given more than once; expected it once, as it can be read only once")
    return [
        source
        for word in given
        for source in ([word] if isinstance(word, Source) else _resolve_one(os.fspath(word), stdin, report))
    ]


def _resolve_one(word: str, stdin: BinaryIO | None, report: Report | None) -> list[Source]:
    if word == "-":
        return [_read_stdin(stdin)]
    if word in corpus_names():
        return [Source(word, *text_of(entry(word), report))]
    if remote.is_remote(word):
        return _remote(word)
    mode = _mode(word)
    if mode is None:
        return _matches(word)
    path = os.path.abspath(word)
    if stat.S_ISDIR(mode):
        return _folder(path)
    if stat.S_ISFIFO(mode):
        return [_read_pipe(path)]
    if not stat.S_ISREG(mode):
        raise CorpusError(f"{word!r} is a device or a socket; expected {_expected()}")
    return [Source(path)]


def _read_stdin(stdin: BinaryIO | None) -> Source:
    if stdin is None and sys.stdin is None:
        raise CorpusError("there is no standard input to read; give a file instead of -")
    try:
        return _read_once("-", stdin or sys.stdin.buffer)
    except OSError as error:
        raise _unreadable("-", error) from error


def _read_pipe(path: str) -> Source:
    try:
        with open(path, "rb") as pipe:
            return _read_once(path, pipe)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_once(name: str, file: BinaryIO) -> Source:
    """Return a source with the bytes of a stream, in memory or, above `HELD_BYTES`, in a temporary file."""
    data = file.read(HELD_BYTES)
    more = file.read(CHUNK_BYTES)
    if not more:
        return Source(name, data)
    kept = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the source)
    while more:
        kept.write(data)
        data, more = more, file.read(CHUNK_BYTES)
    kept.write(data)
    source = Source(name, kept=kept)
    weakref.finalize(source, kept.close)
    return source


def _mode(word: str) -> int | None:
    try:
        return os.stat(word).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        return None
    except OSError as error:
        raise _unreadable(word, error) from error


def _matches(word: str) -> list[Source]:
    if not glob.has_magic(word) or "\0" in word:
        near = difflib.get_close_matches(word, corpus_names(), 1)
        meant = f"did you mean the corpus {near[0]}? " if near else ""
        raise CorpusError(f"there is no file or corpus {word!r}; {meant}expected {_expected()}")
    found = sorted(Path(path).as_posix() for path in glob.iglob(word, recursive=True) if os.path.isfile(path))
    if not found:
        raise CorpusError(f"no file matches {word!r}; expected at least one; check the pattern and the folder")
    return [Source(os.path.abspath(path)) for path in found]


def _remote(url: str) -> list[Source]:
    try:
        found = remote.listing(url)
    except OSError as error:
        raise _unreadable(url, error) from error
    if found != [url] and "*" not in url:
        found = [name for name in found if _is_text(name)]
    if not found:
        raise CorpusError(f"no file matches {url!r}; expected at least one; check the pattern and the folder")
    return [Source(name) for name in found]


def _is_text(name: str) -> bool:
    return name.lower().endswith(tuple(f".txt{suffix}" for suffix in SUFFIXES))


def _folder(path: str) -> list[Source]:
    def fail(error: OSError) -> None:
        raise _unreadable(error.filename or path, error) from error

    found = [
        Path(folder, name).relative_to(path).as_posix()
        for folder, _, files in os.walk(path, onerror=fail)
        for name in files
        if _is_text(name)
    ]
    if not found:
        raise CorpusError(
            f"the folder {path!r} holds no .txt file; expected at least one, at any depth, or .txt.gz and the like; "
            "for other names give the files or a glob such as '*.md'"
        )
    return [Source(os.path.join(path, *name.split("/"))) for name in sorted(found)]


def _expected() -> str:
    names = ", ".join(corpus_names())
    return f"a file, a folder, a glob, a URL, - for standard input or the name of a corpus ({names})"


def _unreadable(name: str, error: OSError) -> CorpusError:
    reason = error.strerror or str(error)
    return CorpusError(f"{name!r} cannot be read ({reason}); expected a readable file; check its path and permissions")
