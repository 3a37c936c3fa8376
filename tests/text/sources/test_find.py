"""Every kind of source, and its errors: names, files, folders, globs, pipes and standard input."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.sources import find
from numlstm.text.sources.python_library import python_source


def text_of(found: Corpus) -> str:
    return found.vocab.decode(found.ids)


def test_sources_are_absolute(folder, put):
    put("a.txt", "a")
    assert load_corpus(["a.txt"]).sources == (str(folder / "a.txt"),)
    assert load_corpus("a.txt").sources == (str(folder / "a.txt"),)


def test_folder_reads_its_txt_files_at_any_depth_sorted(folder, put):
    for name in ("b.txt", "a/z.txt", "a/b/c.TXT", "a.txt", "not.md", "txt"):
        put(f"texts/{name}", f"{name} ")
    found = load_corpus(["texts"])
    assert text_of(found) == "a.txt a/b/c.TXT a/z.txt b.txt "
    assert found.sources[1] == str(folder / "texts" / "a" / "b" / "c.TXT")


def test_glob_is_sorted_and_takes_files_only(folder, put):
    for name in ("c.md", "a.md", "b.md", "d.txt", "deep/e.md", "f.md/inside"):
        put(name, name)
    assert text_of(load_corpus(["*.md"])) == "a.mdb.mdc.md"
    assert text_of(load_corpus(["**/*.md"])) == "a.mdb.mdc.mddeep/e.md"
    assert load_corpus(["[ab].md"]).sources == (str(folder / "a.md"), str(folder / "b.md"))


def test_file_whose_name_looks_like_a_glob_is_that_file(put):
    put("a[b].txt", "itself")
    put("ab.txt", "the other")
    assert text_of(load_corpus(["a[b].txt"])) == "itself"


def test_standard_input_is_the_default_stream(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("글\r\n".encode()), encoding="ascii"))
    assert text_of(load_corpus(["-"])) == "글\r\n"


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 100])
def test_much_on_standard_input_goes_to_a_file(monkeypatch, size):
    monkeypatch.setattr(find, "HELD_BYTES", 5)
    monkeypatch.setattr(find, "CHUNK_BYTES", 2)
    text = ("ab\n" + "x" * size)[: size + 1]
    (found,) = find.resolve(["-"], io.BytesIO(text.encode()))
    assert (found.kept is not None) == (len(text) > 5)
    assert [b"".join(found.chunks()) for _ in range(2)] == [text.encode()] * 2
    assert found.stamp() == (len(text), "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_read_once(folder):
    os.mkfifo(folder / "pipe")
    writer = threading.Thread(target=(folder / "pipe").write_bytes, args=(b"a\r\n\0" * 50_000,), daemon=True)
    writer.start()
    found = load_corpus(["pipe"])
    writer.join()
    assert text_of(found) == "a\r\n\0" * 50_000


def test_named_corpus_wins_over_a_file_which_a_path_reaches(folder, put):
    put("python", "a file")
    by_name, by_path = load_corpus(["python"], encoding="utf-16"), load_corpus(["./python"])
    assert text_of(by_name) == python_source()
    assert by_name.sources == ("python",)
    assert text_of(by_path) == "a file"
    assert by_path.sources == (str(folder / "python"),)


def test_missing_path_lists_the_named_corpora(folder, error_of):
    message = error_of(load_corpus, ["nowhere.txt"])
    assert message.startswith("there is no file or corpus 'nowhere.txt'; expected a file, a folder, a glob, a URL, -")
    assert "(tales, python, shakespeare, " in message


@pytest.mark.parametrize("name", ["", "a\0b", "a.txt/inside", "a\nb"])
def test_names_that_can_be_no_path_are_missing(name, put, error_of):
    put("a.txt", "a")
    assert "there is no file or corpus" in error_of(load_corpus, [name])


def test_glob_without_a_match(folder, error_of):
    assert "no file matches '*.md'; expected at least one" in error_of(load_corpus, ["*.md"])


def test_folder_without_text(put, error_of):
    put("texts/a.md", "a")
    assert "holds no .txt file; expected at least one" in error_of(load_corpus, ["texts"])


def test_no_sources(error_of):
    assert error_of(load_corpus, []).startswith("no text given; expected a file")


def test_standard_input_twice(error_of):
    assert "more than once" in error_of(load_corpus, ["-", "-"], stdin=io.BytesIO(b"a"))


def test_no_standard_input(monkeypatch, error_of):
    monkeypatch.setattr(sys, "stdin", None)
    assert "no standard input" in error_of(load_corpus, ["-"])


def test_standard_input_that_fails(error_of):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    assert "'-' cannot be read (Input/output error)" in error_of(load_corpus, ["-"], stdin=Broken())


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="this system has no /dev/null")
def test_device(error_of):
    assert "is a device or a socket" in error_of(load_corpus, ["/dev/null"])


def test_file_without_permission(put, error_of):
    name = put("a.txt", "a")
    os.chmod(name, 0)
    if os.access(name, os.R_OK):
        pytest.skip("this user may read every file")
    assert "cannot be read (Permission denied); expected a readable file" in error_of(load_corpus, [name])


def test_file_that_cannot_be_opened(monkeypatch, put, error_of):
    name = put("a.txt", "a")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(find, "open", refuse, raising=False)
    assert f"{name!r} cannot be read (Permission denied); expected" in error_of(load_corpus, [name])


def test_folder_that_cannot_be_listed(monkeypatch, put, error_of):
    put("texts/a.txt", "a")

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "texts' cannot be read (Permission denied)" in error_of(load_corpus, ["texts"])


def test_link_to_itself(folder, error_of):
    try:
        (folder / "loop.txt").symlink_to(folder / "loop.txt")
    except OSError:
        pytest.skip("this user may not create symbolic links")
    assert "'loop.txt' cannot be read (" in error_of(load_corpus, ["loop.txt"])
