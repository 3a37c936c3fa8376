"""The ids of large texts: encoded once into a file in the user's cache, then read from there.

A file holds the ids, then a JSON document with the vocabulary and the state of the sources, then the document's length
and a signature. It is written under a temporary name and renamed, so an incomplete file is never seen; the next
encoding removes what a killed one left. A file is valid while its sources keep their size and modification time, or,
if only the time differs, their text. Files unused for a month are removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import tempfile
import time
import unicodedata
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import CorpusError
from ...settings.text import TextSettings
from ...storage import cache_folder
from ...storage.atomic import atomic_replace
from ...storage.temporary import is_abandoned
from ..vocab.base import Ids, Vocab
from ..vocab.from_dict import vocab_from_dict
from .encode import Encoded, ReadSummary, Texts
from .memory_map import map_ids

_VERSION = 1  # raise it whenever the same text would give other ids
_END = struct.Struct("<Q8s")
_SIGN = b"numlstm\n"
_LARGEST_NOTES = 2**28
_UNUSED_SECONDS = 30 * 24 * 3600.0

_Found = tuple[Ids, Vocab, Encoded]


def load(texts: Texts, level: TextSettings, vocab: Vocab | None, drop_unknown: bool) -> _Found:
    """Return a text's ids, its vocabulary and the result of its encoding, reusing a cached file if there is one.

    Raises `CorpusError` as `Texts.encode` does, and if the file cannot be written.
    """
    folder = cache_folder.folder() / "corpora"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(source.is_unnamed for source in texts.sources):  # a later run could not recognise the text
            return _encode_nameless(folder, texts, level, vocab, drop_unknown)
        key = _key(texts, vocab.level if vocab else level.level, drop_unknown)
        for path in sorted(folder.glob(f"{key}-{_vocab_key(vocab) if vocab else '*'}.ids")):
            found = _reuse(path, texts, None if vocab else level)
            if found is not None:
                return found
        _sweep(folder)
        return _encode(folder / key, texts, level, vocab, drop_unknown)
    except OSError as error:
        raise CorpusError(
            f"the encoded text cannot be stored in {folder}: {error.strerror or error}; free some space there, or set "
            "NUMLSTM_CACHE_DIR to another folder"
        ) from error


def _key(texts: Texts, level: str, drop_unknown: bool) -> str:
    names = [source.name for source in texts.sources]
    encoding = "" if level == "byte" else texts.encoding
    facts = [_VERSION, unicodedata.unidata_version, names, level, encoding, drop_unknown]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _vocab_key(vocab: Vocab) -> str:
    return hashlib.sha256(json.dumps(vocab.to_dict(), sort_keys=True).encode()).hexdigest()[:24]


def _reuse(path: Path, texts: Texts, level: TextSettings | None) -> _Found | None:
    """Return the contents of a file if they match; delete it if it is damaged or its sources have changed."""
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        notes = _read_notes(file)
        if notes and level is not None and notes["level"] != level.to_dict():
            return None
        if notes and _is_current(file, notes, texts):
            os.utime(path)
            ids = map_ids(file, notes["dtype"], notes["count"])
            seen = ReadSummary(**notes["seen"])
            parts = tuple((name, start, end) for name, start, end in notes["parts"])
            return ids, vocab_from_dict(notes["vocab"]), Encoded(seen, parts, notes["dropped"], notes["unknown"])
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _is_current(file: BinaryIO, notes: dict[str, Any], texts: Texts) -> bool:
    then, now = notes["stamps"], _stamps(texts)
    if [size for size, _ in then] != [size for size, _ in now]:
        return False
    if then == now and all(when for _, when in now):
        return True
    if texts.digest(as_bytes=vocab_from_dict(notes["vocab"]).reads_bytes) != notes["seen"]["digest"]:
        return False
    _write_notes(file, {**notes, "stamps": now})  # so that the next run need not read the text again
    return True


def _stamps(texts: Texts) -> list[list[Any]]:
    return [list(source.stamp()) for source in texts.sources]


def _encode(stem: Path, texts: Texts, level: TextSettings, vocab: Vocab | None, drop_unknown: bool) -> _Found:
    stamps = _stamps(texts)
    made_by = None if vocab else level.to_dict()
    vocab, seen = (vocab, None) if vocab else texts.make_vocab(level)
    path = stem.with_name(f"{stem.name}-{_vocab_key(vocab)}.ids")
    with atomic_replace(path) as file:
        sink = _File(file)
        encoded = texts.encode(vocab, sink, drop_unknown=drop_unknown, before=seen)
        notes = {
            "stamps": stamps,
            "level": made_by,
            "vocab": vocab.to_dict(),
            "dtype": vocab.id_dtype.str,
            "count": sink.count,
            "seen": {"symbols": encoded.seen.symbols, "digest": encoded.seen.digest},
            "parts": encoded.parts,
            "dropped": encoded.dropped,
            "unknown": encoded.unknown,
        }
        _write_notes(file, notes)
    with open(path, "rb") as written:
        return map_ids(written, vocab.id_dtype, sink.count), vocab, encoded


def _encode_nameless(
    folder: Path, texts: Texts, level: TextSettings, vocab: Vocab | None, drop_unknown: bool
) -> _Found:
    """Encode into a temporary file, which disappears when the process ends."""
    vocab, seen = (vocab, None) if vocab else texts.make_vocab(level)
    with tempfile.TemporaryFile(dir=folder) as file:
        sink = _File(file)
        encoded = texts.encode(vocab, sink, drop_unknown=drop_unknown, before=seen)
        file.flush()
        return map_ids(file, vocab.id_dtype, sink.count), vocab, encoded


class _File:
    """A sink that writes ids to a file."""

    def __init__(self, file: Any) -> None:
        self.file, self.count = file, 0

    def write(self, ids: Ids) -> None:
        self.file.write(ids.data)
        self.count += len(ids)


def _write_notes(file: BinaryIO, notes: dict[str, Any]) -> None:
    """Write the JSON document after the ids, replacing an earlier one."""
    data = json.dumps(notes).encode()
    file.seek(notes["count"] * _itemsize(notes))
    file.write(data + _END.pack(len(data), _SIGN))
    file.truncate()
    file.flush()


def _read_notes(file: BinaryIO) -> dict[str, Any] | None:
    """Return the JSON document, or None if the file is damaged."""
    try:
        file.seek(-_END.size, os.SEEK_END)
        end = file.tell()
        size, sign = _END.unpack(file.read(_END.size))
        if sign != _SIGN or size > min(end, _LARGEST_NOTES):
            return None
        file.seek(end - size)
        notes: dict[str, Any] = json.loads(file.read(size))
        return notes if notes["count"] * _itemsize(notes) == end - size else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _itemsize(notes: dict[str, Any]) -> int:
    return int(notes["dtype"][-1])  # of |u1, <u2 or <u4


def _sweep(folder: Path) -> None:
    """Remove what killed processes left, and files that were not used for a month."""
    now = time.time()
    for path in list(folder.iterdir()):
        with contextlib.suppress(OSError):
            if is_abandoned(path) or now - path.stat().st_mtime > _UNUSED_SECONDS:
                path.unlink()
