"""Read untrusted npz files, and write npz files.

An npz file is a zip archive of arrays in the npy format. Reading trusts nothing in the file: names, sizes, dtypes and
shapes are compared with what the caller expects and with the length of the file before anything is allocated, and
reading to a member's end checks its CRC. A URL is downloaded to a temporary file first.

The npy header is parsed with a regular expression: numpy's own reader evaluates it as a Python literal, may
warn, builds any dtype it names and lets tokenizer errors through.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..errors import NumlstmError, WeightsError
from . import remote
from .atomic import StrPath, atomic_write, kind

MAX_TEXT = 2**26  # bytes of a text array: 16 million characters, enough for every Unicode character
_MAX_DIRECTORY = 2**20
_MAX_HEADER = 1024
_CHUNK = 2**20
_PLAIN_FLAGS = 0x0808  # sizes after the data, names in UTF-8: other flags mean encryption or the like

_END = struct.Struct("<4s4H2LH")
_NPY = struct.Struct("<6s2BH")
_HEADER = re.compile(
    r"""\{\s*(?:(?:
        ['"]descr['"]\s*:\s*['"](?P<descr>[<>|=]?\w+)['"]
        | ['"]fortran_order['"]\s*:\s*(?P<fortran>True|False)
        | ['"]shape['"]\s*:\s*\((?P<shape>[0-9,\s]*)\)
    )\s*(?:,\s*)?){3}\}\s*""",
    re.VERBOSE,
)

# Raised by zipfile, struct, json and the decoders for damaged input. RecursionError: deep JSON.
_BROKEN = (zipfile.BadZipFile, struct.error, EOFError, NotImplementedError)
_ABSURD = (ValueError, OverflowError, RecursionError)


class NpzReader:
    """Reads the members of an npz archive whose directory has been checked; created by `reading`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {info.filename[: -len(".npy")]: info for info in archive.infolist()}

    @property
    def names(self) -> frozenset[str]:
        """The names of the arrays."""
        return frozenset(self._members)

    def text(self, name: str) -> str:
        """Return the string in a 0-d string array.

        Raises `WeightsError` if it is another kind of array or larger than `MAX_TEXT` bytes.
        """
        info = self._members[name]
        if info.file_size > MAX_TEXT:
            raise WeightsError(f"its {name} has {info.file_size} bytes; expected at most {MAX_TEXT}")
        with self._archive.open(info) as member:
            header = _read_header(member, name)
            size = info.file_size - member.tell()
            if header.shape != () or header.descr != f"<U{size // 4}" or size % 4:
                found = f"{header.descr}{list(header.shape)} in {size} bytes"
                raise WeightsError(f"its {name} is {found}; expected a single string")
            return member.read(size).decode("utf-32-le").rstrip("\0")

    def require(self, shapes: Mapping[str, tuple[int, ...]], dtype: npt.DTypeLike, besides: str) -> None:
        """Check that the file holds arrays of these names, shapes and this dtype, plus `besides`, and no others.

        Reads only the headers. The caller can then safely allocate the arrays: together they are no larger
        than the file. Raises `WeightsError` at the first difference.
        """
        expected = {*shapes, besides}
        if self.names != expected:
            missing, unknown = sorted(expected - self.names), sorted(self.names - expected)
            raise WeightsError(f"it lacks the arrays {missing!s:.200} and has unknown arrays {unknown!s:.200}")
        for name, shape in shapes.items():
            self._open(name, shape, np.dtype(dtype)).close()

    def read(self, name: str, out: npt.NDArray[Any]) -> None:
        """Read the array `name` into `out`, which is C-contiguous.

        Raises `WeightsError` if the file's array differs from `out` in shape or dtype.
        """
        rest = out.data.cast("B")
        with self._open(name, out.shape, out.dtype) as member:
            while rest:
                data = member.read(min(len(rest), _CHUNK))
                if not data:
                    raise EOFError(f"{name} ends early")
                rest[: len(data)] = data
                rest = rest[len(data) :]

    def _open(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> IO[bytes]:
        info = self._members[name]
        member = self._archive.open(info)
        header = _read_header(member, name)
        if header.descr != dtype.str or header.shape != shape:
            found, expected = f"{header.descr}{list(header.shape)!s:.80}", f"{dtype.str}{list(shape)}"
            raise WeightsError(f"its array {name} is {found}; expected {expected}")
        if header.fortran and len(shape) > 1:
            raise WeightsError(f"its array {name} is in Fortran order; expected C order")
        size = info.file_size - member.tell()
        if size != math.prod(shape) * dtype.itemsize:
            raise WeightsError(f"its array {name} has {size} bytes of data; too few or too many for its shape")
        return member


@dataclasses.dataclass(frozen=True)
class _Header:
    descr: str
    fortran: bool
    shape: tuple[int, ...]


def _read_header(member: IO[bytes], name: str) -> _Header:
    magic, major, minor, length = _NPY.unpack(member.read(_NPY.size))
    if magic != b"\x93NUMPY" or (major, minor) != (1, 0) or length > _MAX_HEADER:
        raise WeightsError(f"its member {name} is not an array in the npy format 1.0 with a plain header")
    found = _HEADER.fullmatch(member.read(length).decode("ascii"))
    if found is None or None in found.groups():
        raise WeightsError(f"its array {name} has a header that does not describe a plain array of numbers")
    shape = tuple(int(size) for size in re.findall("[0-9]+", found["shape"]))
    return _Header(found["descr"], found["fortran"] == "True", shape)


@contextlib.contextmanager
def reading(path: StrPath) -> Iterator[NpzReader]:
    """Context manager: open an npz file, check its directory and yield its reader.

    Raises `WeightsError`, prefixed with the path, for anything wrong with the file, also while the
    `with` block reads it: any `NumlstmError` from the block becomes a `WeightsError`.
    """
    try:
        with _here(path) as local, _open_regular(local) as file, _open_archive(file) as archive:
            yield NpzReader(archive)
    except FileNotFoundError as error:
        raise WeightsError(f"there is no file {path}; train a model to make one, or check the name") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except NumlstmError as error:
        raise WeightsError(f"{path}: {_one_line(error)}") from error
    except MemoryError as error:
        raise WeightsError(f"{path} needs more memory than this machine has free") from error
    except (*_BROKEN, *_ABSURD) as error:
        advice = "use a backup or train again"
        raise WeightsError(f"{path} is damaged or cut short ({_one_line(error)}); {advice}") from error


@contextlib.contextmanager
def _here(path: StrPath) -> Iterator[StrPath]:
    """Context manager: yield a local path of the file. A remote file is downloaded, and removed afterwards."""
    if not remote.is_remote(path):
        yield path
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="numlstm-") as folder:
        local = os.path.join(folder, "weights.npz")
        remote.download(str(path), local)
        yield local


def _one_line(error: Exception) -> str:
    # The message may quote the file, and the file may contain line breaks and terminal escape sequences.
    return "".join(symbol if symbol.isprintable() else "?" for symbol in str(error)[:500])


def _open_regular(path: StrPath) -> IO[bytes]:
    mode = os.stat(path).st_mode  # before opening: opening a named pipe would block until its other end opens
    if not stat.S_ISREG(mode):
        raise WeightsError(f"it is {kind(mode)}; expected a weights file")
    return open(path, "rb")


def _open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    length = os.fstat(file.fileno()).st_size
    if file.read(2) != b"PK":
        raise WeightsError(
            f"it is {'not a weights file' if length else 'empty'}; expected one that numlstm train wrote"
        )
    _check_end(file, length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns about odd extra fields, which are harmless here
        archive = zipfile.ZipFile(file)
    _check_members(archive.infolist(), length)
    return archive


def _check_end(file: IO[bytes], length: int) -> None:
    file.seek(max(0, length - _END.size))
    signature, *_, directory, _, comment = _END.unpack(file.read(_END.size))
    if signature != b"PK\x05\x06" or comment:
        raise zipfile.BadZipFile("the archive's end is missing")
    if directory > _MAX_DIRECTORY:
        raise WeightsError(f"its directory has {directory} bytes; expected at most {_MAX_DIRECTORY}")


def _check_members(members: list[zipfile.ZipInfo], length: int) -> None:
    for info in members:
        if not info.filename.endswith(".npy"):
            raise WeightsError(f"it holds {info.filename!r:.80}, which is not an array; expected a weights file")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise WeightsError(f"its member {info.filename!r:.80} is compressed; expected it stored uncompressed")
        if info.flag_bits & ~_PLAIN_FLAGS:
            raise WeightsError(f"its member {info.filename!r:.80} is encrypted or patched; expected a plain member")
    if len({info.filename for info in members}) < len(members):
        raise WeightsError("it holds two members with the same name; expected unique names")
    if sum(info.file_size for info in members) > length:
        raise WeightsError(f"its members claim more than the {length} bytes of the file")


def write(path: StrPath, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays to an uncompressed npz file, atomically as `atomic.atomic_write` does.

    The same arrays give the same bytes. Raises `StorageError` if the file cannot be written.
    """
    with atomic_write(path) as file:
        _write_archive(file, arrays)


def _write_archive(file: IO[bytes], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")  # its timestamp is fixed, unlike numpy.savez's
            with archive.open(info, "w", force_zip64=True) as member:
                plain = np.asarray(array, order="C")
                np.lib.format.write_array(member, plain, version=(1, 0), allow_pickle=False)
