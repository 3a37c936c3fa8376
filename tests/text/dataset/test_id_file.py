"""Ids of large texts in cache files: same as in memory, encoded once, again if the text changes, no partial files."""

from __future__ import annotations

import io
import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from numlstm.errors import CorpusError
from numlstm.settings.text import TextSettings
from numlstm.storage.temporary import temporary_beside
from numlstm.text.dataset import corpus, id_file, streams, windows
from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.dataset.encode import Texts
from numlstm.text.dataset.memory_map import map_ids, release
from tests.helpers.processes import hears_signals

TEXT = "the cat and the dog, \r\n한글 é and the bird.\n" * 40


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store the ids of every text in an empty cache, however short the text is; return the cache's folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(folder))
    monkeypatch.setattr(corpus, "STORED_BYTES", 10)
    return folder / "corpora"


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that collects the name of each pass over a text."""
    passes: list[str] = []
    for name in ("make_vocab", "encode", "digest"):
        monkeypatch.setattr(Texts, name, _noted(passes, name))
    return passes


def _noted(passes: list[str], name: str):
    do = getattr(Texts, name)

    def noted(texts: Texts, *args: object, **options: object):
        passes.append(name)
        return do(texts, *args, **options)

    return noted


def is_mapped(ids: np.ndarray) -> bool:
    owner = ids
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return isinstance(owner, mmap.mmap)


def same(a: Corpus, b: Corpus) -> bool:
    assert np.array_equal(a.ids, b.ids)
    assert a.ids.dtype == b.ids.dtype
    names = ("vocab", "sources", "encoding", "digest", "dropped", "unknown", "parts")
    assert [getattr(a, name) for name in names] == [getattr(b, name) for name in names]
    return True


@pytest.mark.parametrize(
    "level", [TextSettings(), TextSettings("byte"), TextSettings("word"), TextSettings("word", 5, None, True)], ids=str
)
def test_the_ids_are_those_in_memory(level: TextSettings, put, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [put("a.txt", TEXT), put("b.txt", TEXT + "end")]
    made, read = load_corpus(names, level=level), load_corpus(names, level=level)
    monkeypatch.setattr(corpus, "STORED_BYTES", 1 << 20)
    in_memory = load_corpus(names, level=level)
    assert is_mapped(made.ids)
    assert is_mapped(read.ids)
    assert not is_mapped(in_memory.ids)
    assert same(made, in_memory)
    assert same(read, in_memory)
    assert not read.ids.flags.writeable


def test_large_and_small_are_told_apart_by_the_size_of_the_files(put, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [put("a.txt", "a" * 50), put("b.txt", "b" * 50)]
    monkeypatch.setattr(corpus, "STORED_BYTES", 99)
    assert is_mapped(load_corpus(names).ids)
    monkeypatch.setattr(corpus, "STORED_BYTES", 100)
    assert not is_mapped(load_corpus(names).ids)


def test_a_text_is_encoded_once(put, encodings: list[str]) -> None:
    name = put("a.txt", TEXT)
    first = load_corpus([name])
    assert encodings == ["make_vocab", "encode"]
    load_corpus([name])
    load_corpus([name], vocab=first.vocab)  # as a resumed run does
    assert encodings == ["make_vocab", "encode"], "the text was read again"


def test_a_text_that_was_only_touched_is_digested_once(put, encodings: list[str]) -> None:
    name = put("a.txt", TEXT)
    load_corpus([name])
    os.utime(name, (1, 1))
    encodings.clear()
    assert same(load_corpus([name]), load_corpus([name]))
    assert encodings == ["digest"]


@pytest.mark.parametrize("after", [TEXT + "more", TEXT.replace("cat", "cow")], ids=["size", "digest"])
def test_a_text_that_changed_is_encoded_again(put, after: str, cache: Path) -> None:
    name = put("a.txt", TEXT)
    load_corpus([name])
    put("a.txt", after)
    os.utime(name, (1, 1))
    found = load_corpus([name])
    assert found.vocab.decode(found.ids) == after
    assert len(list(cache.iterdir())) == 1, "the outdated file must be removed"


def test_what_is_wanted_must_be_what_is_kept(put, cache: Path, encodings: list[str]) -> None:
    name = put("a.txt", TEXT)
    char = load_corpus([name])
    for level in (
        TextSettings("byte"),
        TextSettings("word"),
        TextSettings("word", None, 1),
        TextSettings("word", None, None, True),
    ):
        encodings.clear()
        assert load_corpus([name], level=level).vocab != char.vocab
        assert "encode" in encodings
    encodings.clear()
    load_corpus([name], vocab=char.vocab, drop_unknown=True)
    load_corpus([name], encoding="utf-8-sig")
    assert encodings == ["encode", "make_vocab", "encode"]


@pytest.mark.parametrize("damage", ["cut", "sign", "notes", "empty", "count"])
def test_a_damaged_file_is_made_again(damage: str, put, cache: Path) -> None:
    name = put("a.txt", TEXT)
    whole = load_corpus([name])
    (path,) = cache.iterdir()
    data = path.read_bytes()
    broken = {
        "cut": data[:-3],
        "sign": data[:-1] + b"?",
        "notes": data[:-40] + b"\xff" * 20 + data[-20:],
        "empty": b"",
        "count": b"x" + data,
    }
    path.unlink()  # keeps the mapped file unchanged
    path.write_bytes(broken[damage])
    assert same(load_corpus([name]), whole)
    assert path.read_bytes() == data


def test_notes_that_are_too_long_are_not_read(put, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = put("a.txt", TEXT)
    whole = load_corpus([name])
    monkeypatch.setattr(id_file, "_LARGEST_NOTES", 50)
    (path,) = cache.iterdir()
    with path.open("rb") as file:
        assert id_file._read_notes(file) is None
    assert same(load_corpus([name]), whole)


def test_an_encoding_that_fails_leaves_nothing(put, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = put("a.txt", TEXT)
    write = id_file._File.write

    for error in (KeyboardInterrupt(), OSError(28, "No space left on device")):

        def fail(sink, ids, _error=error):
            write(sink, ids)
            assert list(cache.glob("*.tmp")), "the temporary file must exist by now"
            raise _error

        monkeypatch.setattr(id_file._File, "write", fail)
        with pytest.raises((KeyboardInterrupt, CorpusError)) as caught:
            load_corpus([name])
        assert list(cache.iterdir()) == []
    assert "No space left on device; free some space there, or set NUMLSTM_CACHE_DIR to another" in str(caught.value)


def test_a_text_that_cannot_be_encoded_leaves_nothing(put, cache: Path, error_of) -> None:
    name = put("a.txt", TEXT.encode() + b"\xff")
    assert "does not decode" in error_of(load_corpus, [name])
    first = load_corpus([put("b.txt", "abc" * 9)])
    assert "use `drop_unknown`" in error_of(load_corpus, [put("c.txt", TEXT)], vocab=first.vocab)
    assert len(list(cache.iterdir())) == 1


_KILLED = """
import os, signal, sys, time
from numlstm.storage.temporary import temporary_beside
from numlstm.text.dataset import corpus, id_file
from numlstm.cli.shared.reading_progress import reading_progress
corpus.STORED_BYTES = 10
write = id_file._File.write
def slow(sink, ids):
    write(sink, ids)
    open("writing", "w").close()
    time.sleep(60)
id_file._File.write = slow
with reading_progress() as report:
    corpus.load_corpus(["a.txt"], report=report)
"""


def _killed_while_encoding(folder: Path, number: int) -> None:
    process = subprocess.Popen(hears_signals([sys.executable, "-c", _KILLED]), cwd=folder, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "writing").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(30)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [2, 15])
def test_signals_leave_nothing(number: int, put, folder: Path, cache: Path) -> None:
    put("a.txt", TEXT)
    _killed_while_encoding(folder, number)
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_what_a_killed_process_left_is_removed_later(
    put, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.txt", TEXT)
    _killed_while_encoding(folder, signal.SIGKILL)
    (left,) = cache.glob("*.tmp")
    mine = temporary_beside(left)
    mine.touch()
    load_corpus(["a.txt"])
    assert not left.exists()
    assert mine.exists(), "this process may still be writing it"


def test_what_is_not_used_for_a_month_is_removed(put, cache: Path) -> None:
    ages = {"old": 31, "used": 31, "new": 29}
    for name, days in ages.items():
        load_corpus([put(name, TEXT + name)])
        (path,) = (path for path in cache.iterdir() if path.suffix == ".ids")
        os.utime(path, (time.time() - days * 86400,) * 2)
        if name == "used":
            load_corpus([name])
        path.rename(path.with_suffix(f".{name}"))
    for path in list(cache.iterdir()):
        path.rename(path.with_name(f"{path.suffix[1:]}.ids"))
    load_corpus([put("another", TEXT)])
    assert {path.stem for path in cache.iterdir()} >= {"used", "new"}
    assert not (cache / "old.ids").exists()


def test_standard_input_is_kept_for_the_process_alone(cache: Path) -> None:
    found = load_corpus(["-"], stdin=io.BytesIO(TEXT.encode()))
    assert is_mapped(found.ids)
    assert found.vocab.decode(found.ids) == TEXT
    assert list(cache.iterdir()) == []


def test_streams_give_the_memory_of_mapped_ids_back_now_and_then(put, monkeypatch: pytest.MonkeyPatch) -> None:
    found, released = load_corpus([put("a.txt", TEXT * 9)]), []
    monkeypatch.setattr(streams, "release", released.append)
    monkeypatch.setattr(streams, "_HELD", 100)
    reader = streams.Streams(found.ids, 4, 16)
    for place in range(50):
        reader.window(place)
    assert len(released) == 2 * (50 * 16 // 100)
    assert all(ids is found.ids for ids in released)


def test_windows_do_too(put, monkeypatch: pytest.MonkeyPatch) -> None:
    found, released = load_corpus([put("a.txt", TEXT * 9)]), []
    monkeypatch.setattr(windows, "release", released.append)
    reader = windows.Windows(found.ids, 4, 16)
    for place in range(24):
        reader.batch(0, place)
    assert len(released) == 3


def test_a_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, put, error_of) -> None:
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", put("file", "x"))
    assert "NUMLSTM_CACHE_DIR" in error_of(load_corpus, [put("a.txt", TEXT)])


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system does not report resident memory")
def test_released_ids_take_no_memory_and_stay_readable(folder: Path) -> None:
    size = 64 << 20
    with open("ids", "wb") as file:
        file.write(np.arange(size // 4, dtype=np.uint32).data)
    with open("ids", "rb") as file:
        ids = map_ids(file, np.uint32, size // 4)

    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssFile")).split()[1]) << 10

    total, before = int(ids.sum(dtype=np.int64)), resident()
    release(ids.reshape(4, -1)[1:, :7])
    assert before - resident() > size // 2
    assert int(ids.sum(dtype=np.int64)) == total
    release(np.arange(3))
