"""Write files atomically, to a local path or a URL: a crash never leaves a broken one.

Data is written to a temporary file beside the target, which replaces the target at the end.
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

OVERWRITE_ADVICE = "; use `overwrite` to replace it, or name another `output`"


@contextlib.contextmanager
def atomic_write(path: StrPath) -> Iterator[IO[bytes]]:
    """Context manager: yield a file that atomically replaces `path` when the block succeeds.

    Readers see the old file or the new one. Symbolic links are followed, and an existing file keeps its permissions. A
    URL is replaced as atomically as its store allows. Raises `StorageError` if the file cannot be written; an existing
    file is then unchanged.
    """
    if remote.is_remote(path):
        with _uploading(str(path)) as file:
            yield file
        return
    target = output_target(path)
    before = "the existing file is unchanged" if target.exists() else "nothing was written"
    try:
        with atomic_replace(target) as file:
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
    """Return True if the file exists, locally or remotely.

    Raises `StorageError` if `path` cannot name a file or its store cannot be reached.
    """
    if not remote.is_remote(path):
        return output_target(path).exists()
    try:
        return remote.exists(str(path))
    except OSError as error:
        raise StorageError(f"{path} cannot be reached: {error.strerror or error}") from error


def check_output(path: StrPath, *, overwrite: bool, advice: str = OVERWRITE_ADVICE) -> None:
    """Check, before any work is done, that `path` can be written and does not exist unless `overwrite`.

    Creates its folder and removes temporary files that killed processes left beside it. Raises `StorageError`; if the
    file exists, the message ends with `advice`.
    """
    if not overwrite and exists(path):
        raise StorageError(f"{path} exists{advice}")
    check_writable(path)


def check_writable(path: StrPath) -> None:
    """Create the file's folder and check that `atomic_write` can write there; raises `StorageError` if not.

    Removes temporary files that killed processes left beside it.
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
    """Return the file that writing to `path` would replace or create, with symbolic links resolved.

    Raises `StorageError` if it is a folder or a device, or not a valid file name.
    """
    if os.fspath(path).endswith(("/", os.sep)):  # `realpath` would drop the separator
        raise StorageError(f"{path} is the name of a folder; expected the name of a file")
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):  # replacing /dev/null with a file would be a nasty surprise
        raise StorageError(f"{path} is {kind(mode)}; expected the name of a file")
    return target


@contextlib.contextmanager
def atomic_replace(target: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Context manager: yield a file that atomically replaces `target` when the block succeeds; `name` is its path.

    If not `durable`, a power cut may leave an incomplete file as `target`: use it for caches that check what they read.
    Raises `OSError`; an existing file is then unchanged.
    """
    temporary = temporary_beside(target)
    try:
        with open(temporary, "xb") as file:  # not tempfile: only the owner could read the file
            _copy_permissions(target, temporary)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())  # before the rename, or a power cut could leave an empty file
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(target.parent)


def kind(mode: int) -> str:
    """Return the name of the file type of a `mode` that is not a regular file's."""
    return "a folder" if stat.S_ISDIR(mode) else "a device or pipe"


def _copy_permissions(source: Path, to: Path) -> None:
    if os.name == "posix":  # elsewhere there is only a read-only bit, which would block the replacement
        with contextlib.suppress(OSError):  # no existing file, or a file system without permissions
            os.chmod(to, stat.S_IMODE(os.stat(source).st_mode) & 0o777)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some file systems cannot; the file is complete either way
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
