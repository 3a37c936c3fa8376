"""Remote files: `s3://`, `gs://`, `https://` and any other scheme that `fsspec` supports.

Every failure is raised as an `OSError`, as for a local file, so callers handle both the same way.
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
# Stores whose uploads are atomic. Elsewhere a file is uploaded under a temporary name, then renamed.
_WHOLE_AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "http", "https", "memory"})
# The keys under which stores report when a file was written, or its version.
_VERSIONS = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "ETag", "etag")


def is_remote(name: StrPath) -> bool:
    """Return True if a name is a URL: a scheme, then `://`."""
    return isinstance(name, str) and _SCHEME.match(name) is not None


def listing(url: str) -> list[str]:
    """Return the files that a URL stands for: the matches of a pattern with `*`, the files in a folder, or itself.

    The list is empty if a pattern matches nothing. Raises `OSError` if the store cannot be read.
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
    """Return a file's size in bytes and a version string that changes when the file is rewritten.

    The size is None, and the version "", if the store does not report it. Raises `OSError`.
    """
    with _as_os_errors(url):
        fs, path = _connect(url)
        facts = fs.info(path)
        said = next((facts[name] for name in _VERSIONS if facts.get(name)), "")
        return facts.get("size"), str(said)


def open_to_read(url: str) -> BinaryIO:
    """Open a file for binary reading. Opening and reading raise `OSError`."""
    with _as_os_errors(url):
        fs, path = _connect(url)
        return cast(BinaryIO, _Reader(url, fs.open(path, "rb")))


def exists(url: str) -> bool:
    """Return True if the file exists; raises `OSError` if the store cannot tell."""
    with _as_os_errors(url):
        fs, path = _connect(url)
        return bool(fs.exists(path))


def download(url: str, to: StrPath) -> None:
    """Download a remote file to a new local file; raises `OSError`."""
    with open_to_read(url) as source, open(to, "xb") as target:
        while piece := source.read(2**20):
            target.write(piece)


def upload(path: StrPath, url: str) -> None:
    """Upload a local file. Readers see the old file or the new one, as far as the store allows.

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
    """Check that a URL can be written, by creating and removing a small file beside it; raises `OSError` if not."""
    with _as_os_errors(url):
        fs, target = _connect(url)
        folder = target.rpartition("/")[0]
        with contextlib.suppress(NotImplementedError, PermissionError):  # a store without folders, or a bucket's root
            fs.makedirs(folder, exist_ok=True)
        probe = f"{target}.{os.urandom(8).hex()}.tmp"
        fs.pipe_file(probe, b"numlstm")
        fs.rm_file(probe)


class _Reader:
    """A remote file that raises every error as `OSError`."""

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
        raise OSError(errno.EIO, f"{_one_line(error)}: pip install 'numlstm[remote]' installs common ones") from error
    except Exception as error:  # each store has its own exceptions
        raise OSError(errno.EIO, _one_line(error)) from error


def _is_elsewhere(cause: BaseException | None) -> bool:
    """Return True if a file "not found" may exist: fsspec also says that if a web server refuses or is unreachable."""
    status = getattr(cause, "status", None)
    if isinstance(status, int):
        return status not in (404, 410)
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)


def _one_line(error: BaseException | None) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(symbol if symbol.isprintable() else "?" for symbol in text[:300])
