"""A file that is written whole or not at all, here or at a URL: a crash never leaves a broken one.

Writing goes through a temporary file beside the target, which takes its place at the end. Knows nothing about what is
in the file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from ..errors import StorageError
from . import remote
from .temporary import remove_abandoned, temporary_beside

StrPath = str | os.PathLike[str]

INSTEAD = "; use `overwrite` to replace it, or name another `output`"


@contextlib.contextmanager
def writing(path: StrPath) -> Iterator[IO[bytes]]:
    """Give a file to write to that takes the place of `path` in one step, at the end: a reader sees the old or the new.

    A symbolic link is followed, and an existing file keeps its permissions. At a URL that is as far as the store can.
    Raises `StorageError` if the file cannot be written; an earlier one is then untouched.
    """
    if remote.is_remote(path):
        with _uploading(str(path)) as file:
            yield file
        return
    target = output_target(path)
    before = "the file that was there is untouched" if target.exists() else "nothing was written"
    try:
        with replacing(target) as file:
            yield file
    except OSError as error:
        reason = error.strerror or error
        advice = "make room or choose another place"
        raise StorageError(f"{path} cannot be written: {reason}; {before}; {advice}") from error


@contextlib.contextmanager
def _uploading(url: str) -> Iterator[IO[bytes]]:
    import tempfile

    try:
        with tempfile.TemporaryDirectory(prefix="numlstm-") as folder:
            local = os.path.join(folder, "file")
            with open(local, "xb") as file:
                yield file
            remote.upload(local, url)
    except OSError as error:
        raise StorageError(f"{url} cannot be written: {error.strerror or error}; choose another place") from error


def exists(path: StrPath) -> bool:
    """Whether there is such a file, here or elsewhere; raises `StorageError` if it can be none or nobody can tell."""
    if not remote.is_remote(path):
        return output_target(path).exists()
    try:
        return remote.exists(str(path))
    except OSError as error:
        raise StorageError(f"{path} cannot be reached: {error.strerror or error}") from error


def check_output(path: StrPath, *, overwrite: bool, instead: str = INSTEAD) -> None:
    """Check, before anything is read or computed, that `path` can be written and is not there unless `overwrite`.

    Makes its folder, and removes what killed processes left half written beside it. Raises `StorageError`; of a file
    that exists it says what to do `instead`.
    """
    if not overwrite and exists(path):
        raise StorageError(f"{path} exists{instead}")
    check_writable(path)


def check_writable(path: StrPath) -> None:
    """Make the file's folder and check that `writing` will be able to write there; raises `StorageError` if not.

    What killed processes left half written beside it is removed.
    """
    try:
        if remote.is_remote(path):
            remote.check_writable(str(path))
            return
        target = output_target(path)
        if target.exists() and not os.access(target, os.W_OK):
            raise StorageError(f"{path} is read-only; make it writable, or name another `output`")
        probe = temporary_beside(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"{path} cannot be written: {reason}; name another `output`") from error


def output_target(path: StrPath) -> Path:
    """Return the file that writing to `path` would replace or make: links are followed.

    Raises `StorageError` if that is a folder or a device, or a name that no file can have.
    """
    if os.fspath(path).endswith(("/", os.sep)):  # which `realpath` would drop
        raise StorageError(f"{path} is the name of a folder; expected that of a file")
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):  # replacing /dev/null by a file would be a bad surprise
        raise StorageError(f"{path} is {kind(mode)}; expected the name of a file")
    return target


@contextlib.contextmanager
def replacing(target: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write to, `name` being its path, that takes the place of `target` when the block ends well.

    Unless it is `durable`, a power cut may leave the name to an incomplete file: for caches that check what they read.
    Raises `OSError`; an earlier file is then untouched.
    """
    temporary = temporary_beside(target)
    try:
        with open(temporary, "xb") as file:  # not tempfile, which makes files that only their owner can read
            _copy_permissions(target, temporary)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())  # before the name changes, or a power cut could leave it to an empty file
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(target.parent)


def kind(mode: int) -> str:
    """Return what a mode that is no regular file's stands for."""
    return "a folder" if stat.S_ISDIR(mode) else "a device or pipe"


def _copy_permissions(source: Path, to: Path) -> None:
    if os.name == "posix":  # elsewhere there is only a read-only bit, which would hinder the replacing
        with contextlib.suppress(OSError):  # no earlier file, or a file system without permissions
            os.chmod(to, stat.S_IMODE(os.stat(source).st_mode) & 0o777)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # not every file system can; the file itself is whole either way
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
