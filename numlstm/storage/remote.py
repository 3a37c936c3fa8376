"""Files that are not on this machine: `s3://`, `gs://`, `https://` and all else that `fsspec` knows.

Whatever goes wrong comes out as an `OSError`, as it would from a file here, so that the same code can deal with it.
Knows nothing about texts, weights or what else the files hold.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

StrPath = str | os.PathLike[str]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+(?:::[A-Za-z0-9+.\-]+)*://")
# Where an object appears whole or not at all; elsewhere it is written under another name first, and renamed.
_WHOLE_AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "http", "https", "memory"})
# What a store may say of when a file was written, or of which version it is.
_VERSIONS = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "ETag", "etag")


def is_remote(name: StrPath) -> bool:
    """Whether a name is that of a file elsewhere: a scheme, then `://`."""
    return isinstance(name, str) and _SCHEME.match(name) is not None


def listing(url: str) -> list[str]:
    """Return the files that a URL stands for: those that a pattern with `*` matches, those in a folder, or itself.

    Raises `OSError`; `FileNotFoundError` if there is none.
    """
    with _as_os_errors(url):
        fs, path = _connect(url)
        if "*" in path:
            found = [name for name in fs.glob(path) if not fs.isdir(name)]
        elif url.startswith("http") or not fs.isdir(path):
            return [url]
        else:
            found = fs.find(path)
        return sorted(str(fs.unstrip_protocol(name)) for name in found)


def version(url: str) -> tuple[int | None, str]:
    """Return a file's size in bytes, if it is known, and what changes when it is written again, "" if nothing does.

    Raises `OSError`.
    """
    with _as_os_errors(url):
        fs, path = _connect(url)
        facts = fs.info(path)
        said = next((facts[name] for name in _VERSIONS if facts.get(name)), "")
        return facts.get("size"), str(said)


def open_to_read(url: str) -> BinaryIO:
    """Open a file for reading its bytes from the start; raises `OSError`, also while it is read."""
    with _as_os_errors(url):
        fs, path = _connect(url)
        return cast(BinaryIO, _Reader(url, fs.open(path, "rb")))


def exists(url: str) -> bool:
    """Whether there is such a file; raises `OSError` if that cannot be known."""
    with _as_os_errors(url):
        fs, path = _connect(url)
        return bool(fs.exists(path))


def download(url: str, to: StrPath) -> None:
    """Copy a remote file to a new one here; raises `OSError`."""
    with open_to_read(url) as source, open(to, "xb") as target:
        while piece := source.read(2**20):
            target.write(piece)


def upload(path: StrPath, url: str) -> None:
    """Copy a file here to a remote one, so that whoever reads sees the old one or the new, as far as the store can.

    Raises `OSError`.
    """
    with _as_os_errors(url):
        fs, target = _connect(url)
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        if protocols & _WHOLE_AT_ONCE:
            fs.put_file(os.fspath(path), target)
            return
        temporary = f"{target}.{os.urandom(8).hex()}.tmp"
        try:
            fs.put_file(os.fspath(path), temporary)
            fs.mv(temporary, target)
        except BaseException:  # Ctrl-C too
            with contextlib.suppress(Exception):
                fs.rm_file(temporary)
            raise


def check_writable(url: str) -> None:
    """Write a small file beside a remote one and remove it; raises `OSError` if that cannot be done."""
    with _as_os_errors(url):
        fs, target = _connect(url)
        folder = target.rpartition("/")[0]
        with contextlib.suppress(NotImplementedError, PermissionError):  # a store without folders, or a bucket's root
            fs.makedirs(folder, exist_ok=True)
        probe = f"{target}.{os.urandom(8).hex()}.tmp"
        fs.pipe_file(probe, b"numlstm")
        fs.rm_file(probe)


class _Reader:
    """A remote file whose errors are `OSError`."""

    def __init__(self, url: str, file: Any) -> None:
        self.url, self.file = url, file

    def read(self, size: int = -1) -> bytes:
        with _as_os_errors(self.url):
            return bytes(self.file.read(size))

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _connect(url: str) -> tuple[Any, str]:
    try:
        import fsspec.core
    except ImportError:
        raise OSError(errno.EIO, "it needs the package fsspec: pip install 'numlstm[remote]'") from None
    fs, path = fsspec.core.url_to_fs(url)
    return fs, str(path)


@contextlib.contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if _is_elsewhere(error.__cause__):
            raise OSError(errno.EIO, _one_line(error.__cause__)) from error
        raise FileNotFoundError(errno.ENOENT, "there is no such file", url) from None
    except OSError as error:
        if error.strerror:
            raise
        raise OSError(errno.EIO, _one_line(error)) from error
    except ImportError as error:  # a scheme whose package is missing
        raise OSError(errno.EIO, f"{_one_line(error)}: pip install 'numlstm[remote]' brings the usual ones") from error
    except Exception as error:  # each store has errors of its own
        raise OSError(errno.EIO, _one_line(error)) from error


def _is_elsewhere(cause: BaseException | None) -> bool:
    """Whether a file that was not found may well exist: fsspec says so too where a web server refuses or is away."""
    status = getattr(cause, "status", None)
    if isinstance(status, int):
        return status not in (404, 410)
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)


def _one_line(error: BaseException | None) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(symbol if symbol.isprintable() else "?" for symbol in text[:300])
