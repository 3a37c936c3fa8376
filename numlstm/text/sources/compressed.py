"""Read files compressed by gzip, bzip2, xz or zstd, recognised by their first bytes, whatever their names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from ...errors import CorpusError

SUFFIXES = ("", ".gz", ".bz2", ".xz", ".zst")

# bzip2's signature is plain text, so the next one is checked too: digits of pi before a block, of its root at the end.
_SIGNS = {
    "gzip": (b"\x1f\x8b\x08",),
    "bzip2": tuple(b"BZh%d%b" % (level, sign) for level in range(1, 10) for sign in (b"1AY&SY", b"\x17rE8P\x90")),
    "xz": (b"\xfd7zXZ\x00",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
}


def decompressed(file: io.BufferedReader[Any], name: str, size: int) -> Iterator[bytes]:
    """Yield a file's bytes, decompressed if needed, in pieces of up to `size`.

    Raises `CorpusError` if they are damaged or truncated, or if the decompressor is not installed.
    """
    head = file.peek(10)
    kind = next((kind for kind, signs in _SIGNS.items() if head.startswith(signs)), None)
    if kind is None:
        yield from iter(lambda: file.read(size), b"")
        return
    opened, error_of_kind = _opened(kind, file, name)
    try:
        yield from iter(lambda: opened.read(size), b"")
    except (EOFError, zlib.error, lzma.LZMAError, OSError, error_of_kind) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the file itself cannot be read
            raise
        raise _damaged(name, kind, error) from error


def _opened(kind: str, file: io.BufferedReader[Any], name: str) -> tuple[Any, type[Exception]]:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file), OSError
    if kind == "bzip2":
        return bz2.BZ2File(file), OSError
    if kind == "xz":
        return lzma.LZMAFile(file), OSError
    zstd = _zstd(name)
    return zstd.ZstdFile(file), zstd.ZstdError


def _zstd(name: str) -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise CorpusError(
            f"{name!r} is compressed with zstd, which needs Python 3.14 or a package; expected one of them; "
            "pip install 'numlstm[zstd]'"
        ) from None
    return zstd


def _damaged(name: str, kind: str, error: Exception) -> CorpusError:
    return CorpusError(f"{name!r} is damaged or cut short ({kind}: {error}); expected a complete file; get it again")
