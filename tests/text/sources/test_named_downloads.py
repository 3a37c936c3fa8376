"""Downloads of named corpora from a local server, which also simulates every failure of a server."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import threading

import pytest

from numlstm.errors import CorpusError
from numlstm.text.dataset.corpus import load_corpus
from numlstm.text.sources import catalog, download, named, named_downloads
from numlstm.text.sources.catalog import Entry
from tests.helpers.web_server import serving

TEXT = "It was late.\r\nThe café had closed.\n".encode() * 2000
PLAIN = TEXT.replace(b"\r\n", b"\n")
BOOK = (
    b"The Project Gutenberg eBook of Rain\n\n*** START OF THE PROJECT GUTENBERG EBOOK RAIN ***\n\n"
    b"It rained.\n\n*** END OF THE PROJECT GUTENBERG EBOOK RAIN ***\nLicence.\n"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(tmp_path / "cache"))
    for proxy in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return tmp_path / "cache" / "texts"


@pytest.fixture(scope="module")
def server():
    with serving() as site:
        yield site


@pytest.fixture
def site(server):
    server.files, server.faults, server.asked = {"/a.txt": TEXT}, {}, []
    return server


def entry_of(site, *paths, **more):
    return Entry("story", source="download", urls=tuple(map(site.url, paths or ("/a.txt",))), **more)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def leftovers(cache):
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


def test_a_text_is_downloaded_once_with_unix_line_ends(site, cache):
    entry = entry_of(site, size=len(TEXT), sha256=(sha256(TEXT),))
    assert named_downloads.cached(entry) is None
    path = named_downloads.fetch(entry)
    assert path.read_bytes() == PLAIN
    assert named_downloads.fetch(entry) == path == named_downloads.cached(entry)
    assert site.asked == ["/a.txt"]
    assert leftovers(cache) == ["story.json", "story.txt"]


def test_several_files_are_joined_in_order_and_trimmed(site):
    site.files |= {"/1": BOOK, "/2": BOOK.replace(b"rained", b"poured")}
    path = named_downloads.fetch(entry_of(site, "/2", "/1", trim="gutenberg"))
    assert path.read_text() == "It poured.\n\n\nIt rained.\n"
    assert site.asked == ["/2", "/1"]


def test_how_far_it_is_is_told(site):
    told = []
    named_downloads.fetch(entry_of(site, "/a.txt", "/a.txt"), lambda *what: told.append(what))
    assert {task for task, _, _ in told} == {"downloading story (1 of 2)", "downloading story (2 of 2)"}
    done = [done for task, done, total in told if "1 of" in task and total == len(TEXT)]
    assert done == sorted(done)
    assert 0 < done[0] < len(TEXT)
    assert done[-1] == len(TEXT)


def test_a_redirection_is_followed(site):
    site.faults["/old"] = "/a.txt"
    assert named_downloads.fetch(entry_of(site, "/old")).read_bytes() == PLAIN


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (404, "the server answered 404 Not Found"),
        (503, "the server answered 503"),
        ("truncated", "could not be downloaded completely"),
        ("stalled", "no data arrived for 0.3 seconds"),
        ("gone", "cannot be reached"),
        ("/a", "could not be downloaded completely: Exceeded 30 redirects"),
    ],
)
def test_what_fails_is_one_line_and_leaves_nothing(site, cache, error_of, fault, said):
    site.files["/a"] = TEXT
    site.faults["/a"] = fault
    message = error_of(named_downloads.fetch, entry_of(site, "/a"), timeout=0.3)
    assert said in message
    assert site.url("/a") in message
    assert leftovers(cache) == []
    site.faults.clear()
    assert named_downloads.fetch(entry_of(site, "/a")).read_bytes() == PLAIN


def test_a_body_that_ends_early_is_seen_without_urllib3(site, cache, monkeypatch, error_of):
    """Older versions of urllib3 accept a truncated body, so `fetch` checks the length itself."""
    import pooch

    class Halving(pooch.HTTPDownloader):
        def __call__(self, url, output_file, *more):
            super().__call__(url, output_file, *more)
            with open(output_file, "r+b") as file:
                file.truncate(7)

    monkeypatch.setattr(pooch, "HTTPDownloader", Halving)
    assert f"7 of {len(TEXT):,} bytes received; nothing was saved" in error_of(named_downloads.fetch, entry_of(site))
    assert leftovers(cache) == []


def test_a_wrong_checksum_keeps_nothing(site, cache, error_of):
    message = error_of(named_downloads.fetch, entry_of(site, sha256=(sha256(b"other"),)))
    assert "is not the expected" in message
    assert "nothing was saved" in message
    assert leftovers(cache) == []


def test_a_wrong_size_is_told(site, error_of):
    message = error_of(named_downloads.fetch, entry_of(site, size=len(TEXT) + 1))
    assert f"has {len(TEXT):,} bytes; expected {len(TEXT) + 1:,}" in message


def test_a_server_that_never_ends_does_not_fill_the_disk(site, cache, monkeypatch, error_of):
    monkeypatch.setattr(download, "LARGEST", 30_000)
    assert "is larger than" in error_of(named_downloads.fetch, entry_of(site))
    assert leftovers(cache) == []


def test_the_first_downloads_checksum_holds_later(site, cache, error_of):
    entry = entry_of(site)
    path = named_downloads.fetch(entry)
    assert json.loads((cache / "story.json").read_text())["sha256"] == [sha256(TEXT)]
    path.unlink()
    site.files["/a.txt"] = b"Another text.\n"
    message = error_of(named_downloads.fetch, entry)
    assert "it has changed since" in message
    assert "numlstm corpus get story --refresh" in message
    assert not path.exists()
    assert named_downloads.fetch(entry, refresh=True).read_bytes() == b"Another text.\n"
    assert named_downloads.fetch(entry).read_bytes() == b"Another text.\n"


def test_refresh_downloads_again_and_a_failure_leaves_the_text_there(site, error_of):
    entry = entry_of(site)
    path = named_downloads.fetch(entry)
    site.files["/a.txt"] = b"New.\n"
    assert named_downloads.fetch(entry).read_bytes() == PLAIN
    site.faults["/a.txt"] = 404
    error_of(named_downloads.fetch, entry, refresh=True)
    assert path.read_bytes() == PLAIN
    assert named_downloads.cached(entry) == path


def test_a_damaged_text_or_record_is_no_text(site, cache):
    entry = entry_of(site)
    path = named_downloads.fetch(entry)
    path.write_bytes(PLAIN[:-1])
    assert named_downloads.cached(entry) is None
    assert named_downloads.fetch(entry).read_bytes() == PLAIN
    for broken in (b"", b"[]", b"{}", b"[" * 100_000, b'{"urls": 3}'):
        (cache / "story.json").write_bytes(broken)
        assert named_downloads.cached(entry) is None
        assert named_downloads.fetch(entry).read_bytes() == PLAIN
    assert len(site.asked) == 7


def test_another_address_trim_or_checksum_is_another_text(site):
    site.files["/b.txt"] = BOOK
    named_downloads.fetch(entry_of(site))
    assert named_downloads.fetch(entry_of(site, "/b.txt")).read_bytes() == BOOK
    assert named_downloads.fetch(entry_of(site, "/b.txt", trim="gutenberg")).read_text() == "It rained.\n"
    assert named_downloads.cached(entry_of(site, "/b.txt", trim="gutenberg", sha256=(sha256(TEXT),))) is None


def test_without_a_network_what_works_is_named(site, monkeypatch, error_of):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    away = Entry("away", source="download", urls=(f"http://127.0.0.1:{port}/x",))
    here = entry_of(site)
    all_of = {"away": away, "story": here, "python": catalog.entry("python")}
    monkeypatch.setattr(named_downloads, "entries", lambda: all_of)
    message = error_of(named_downloads.fetch, away)
    assert message.startswith("the corpus away is not downloaded yet, and http://127.0.0.1:")
    assert message.endswith("without a network, use python or your own files")
    named_downloads.fetch(here)
    assert "without a network, use story, python or your own files" in error_of(named_downloads.fetch, away)


def test_what_is_no_text_is_refused(site, cache, error_of):
    site.files |= {"/binary": b"\xff\xfe\x00", "/empty": b" \n"}
    assert "is not text in UTF-8 (byte 0xFF at offset 0)" in error_of(named_downloads.fetch, entry_of(site, "/binary"))
    assert "holds no text (2 bytes received)" in error_of(named_downloads.fetch, entry_of(site, "/empty"))
    assert "expected gutenberg or wikitext" in error_of(named_downloads.fetch, entry_of(site, trim="other"))
    assert leftovers(cache) == []


def test_a_cache_that_cannot_be_written(site, tmp_path, monkeypatch, error_of):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(tmp_path / "file"))
    assert "set NUMLSTM_CACHE_DIR to another folder" in error_of(named_downloads.fetch, entry_of(site))


def test_what_killed_processes_have_left_is_removed(site, cache, monkeypatch):
    entry = entry_of(site)
    left, other = cache / ".story.txt.left", cache / "other"
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "0.txt").write_text("half")
    monkeypatch.setattr(named_downloads, "is_abandoned", lambda path: path == left)
    named_downloads.fetch(entry)
    assert leftovers(cache) == ["other", "story.json", "story.txt"]


def test_two_at_once_both_have_the_text(site):
    found = []
    threads = [threading.Thread(target=lambda: found.append(named_downloads.fetch(entry_of(site)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in found] == [PLAIN] * 3


def test_a_named_corpus_is_downloaded_and_read_by_its_name(site, monkeypatch):
    said = f'[story]\nsource = "download"\nurl = "{site.url("/a.txt")}"\nsize = {len(TEXT)}\n'
    monkeypatch.setattr(catalog, "_catalogue_text", lambda: said)
    told = []
    text = load_corpus(["story"], encoding="latin-1", report=lambda *what: told.append(what[0]))
    assert text.vocab.decode(text.ids).encode() == PLAIN
    assert text.sources == ("story",)
    assert told[0] == "downloading story"
    entry = catalog.entry("story")
    assert named.is_offline(entry)
    assert named.text_size(entry) == (len(PLAIN), True)


def test_a_text_that_ships_is_found(tmp_path, monkeypatch, error_of):
    folder = tmp_path / "numlstm" / "corpus"
    folder.mkdir(parents=True)
    said = '[tales]\nsource = "package"\nfile = "stories.txt"\n'
    (folder / "corpora.toml").write_text(said)
    monkeypatch.setattr(catalog.importlib.resources, "files", lambda name: tmp_path / name)
    entry = catalog.entry("tales")
    assert not named.is_offline(entry)
    assert named.text_size(entry) == (None, False)
    assert "expected stories.txt inside the package; reinstall numlstm" in error_of(load_corpus, ["tales"])
    (folder / "stories.txt").write_text("Once – upon a time.\n", encoding="utf-8")
    text = load_corpus(["tales"])
    assert text.vocab.decode(text.ids) == "Once – upon a time.\n"
    assert named.text_path(entry) == folder / "stories.txt"
    assert (named.is_offline(entry), named.text_size(entry)) == (True, (22, True))


def test_python_has_a_path_too(cache):
    entry = catalog.entry("python")
    path = named.text_path(entry)
    data, encoding = named.text_of(entry)
    assert path == cache / "python.txt"
    assert path.read_bytes() == data
    assert encoding == "ascii"
    path.write_text("older")
    assert named.text_path(entry).read_bytes() == data
    assert leftovers(cache) == ["python.txt"]


def test_python_without_room_leaves_nothing(cache, monkeypatch, error_of):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device; free some space there" in error_of(named.text_path, catalog.entry("python"))
    assert leftovers(cache) == []


def test_an_unknown_name_lists_those_there_are(error_of):
    assert error_of(catalog.entry, "pithon").startswith("no corpus is called 'pithon'; expected one of tales, python,")
    assert "did you mean the corpus shakespeare?" in error_of(load_corpus, ["shakespear"])


def test_the_catalogue_is_whole():
    """The URLs are not requested: that would need a network."""
    for name, entry in catalog.entries().items():
        assert entry.source in ("stdlib", "package", "download"), name
        assert all(url.startswith("https://") for url in entry.urls), name
        assert (entry.source == "download") == bool(entry.urls), name
        assert len(entry.sha256) in (0, len(entry.urls)), name
        assert not entry.size or entry.size > 100_000
        assert entry.trim in ("", "gutenberg", "wikitext"), name
    pinned = catalog.entry("shakespeare")
    assert (pinned.size, pinned.sha256[0][:8]) == (1_115_394, "86c4e6aa")
    assert {entry.language for entry in catalog.entries().values()} >= {"English", "German", "Korean"}


def test_errors_are_corpus_errors():
    assert issubclass(download.Unreachable, CorpusError)
    assert issubclass(download.WrongChecksum, CorpusError)
