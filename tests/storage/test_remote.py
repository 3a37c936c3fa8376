"""Remote texts and weights: in fsspec's in-memory store and on a web server."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from numlstm.errors import CorpusError, StorageError, WeightsError
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.storage import atomic, remote
from numlstm.text.dataset import corpus
from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.vocab.char import CharVocab

fsspec = pytest.importorskip("fsspec", reason="needs the extra `remote`")
pytest.importorskip("aiohttp", reason="needs the extra `remote`")

TEXT = "some text, 한글\r\n" * 50


@pytest.fixture
def store() -> Iterator[object]:
    """Return fsspec's in-memory store, emptied."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serve the folder `web` below `tmp_path`; yield the address of the server."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Print no log."""

        def send_head(self):  # type: ignore[no-untyped-def]
            if self.path != "/refused.txt":
                return super().send_head()
            self.send_error(501)
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_refuses_or_is_not_there_is_no_missing_file(web: str) -> None:
    with pytest.raises(CorpusError, match="there is no such file"):
        load_corpus([f"{web}/absent.txt"])
    with pytest.raises(CorpusError, match="501"):
        load_corpus([f"{web}/refused.txt"])
    with pytest.raises(CorpusError, match="Cannot connect to host"):
        load_corpus(["http://127.0.0.1:1/a.txt"])


def text_of(found: Corpus) -> str:
    return found.vocab.decode(found.ids)


def a_file() -> weights_file.WeightsFile:
    config = NetworkSettings(3, (4,))
    return weights_file.WeightsFile(config, CharVocab("abc"), parameters.initialise(config, 0), {"a": 1}, None)


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
class TestTexts:
    @pytest.fixture(autouse=True)
    def size(self, large: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("NUMLSTM_CACHE_DIR", str(tmp_path / "cache"))
        if large:
            monkeypatch.setattr(corpus, "STORED_BYTES", 10)

    def test_a_file_in_a_store(self, store) -> None:
        store.pipe_file("/texts/a.txt", TEXT.encode())
        found = load_corpus(["memory://texts/a.txt"])
        assert text_of(found) == TEXT
        assert found.sources == ("memory://texts/a.txt",)
        store.pipe_file("/texts/a.txt", TEXT.encode().replace(b"text", b"news"))
        assert text_of(load_corpus(["memory://texts/a.txt"])) == TEXT.replace("text", "news")

    def test_a_small_file_is_fetched_once(self, large: bool, store, monkeypatch: pytest.MonkeyPatch) -> None:
        store.pipe_file("/texts/a.txt", TEXT.encode())
        opened, open_to_read = [], remote.open_to_read
        monkeypatch.setattr(remote, "open_to_read", lambda url: opened.append(url) or open_to_read(url))
        assert text_of(load_corpus(["memory://texts/a.txt"])) == TEXT
        assert len(opened) == (2 if large else 1)

    def test_patterns_and_folders(self, store) -> None:
        for name in ("b.txt", "a.txt", "c.md", "deep/d.txt"):
            store.pipe_file(f"/texts/{name}", (name + " " * 20).encode())
        assert text_of(load_corpus(["memory://texts/*.txt"])).split() == ["a.txt", "b.txt"]
        assert text_of(load_corpus(["memory://texts/*"])).split() == ["a.txt", "b.txt", "c.md"]
        assert text_of(load_corpus(["memory://texts"])).split() == ["a.txt", "b.txt", "deep/d.txt"]

    def test_a_file_on_the_web(self, web: str, tmp_path: Path) -> None:
        (tmp_path / "web" / "a.txt").write_bytes(TEXT.encode())
        found = load_corpus([f"{web}/a.txt"])
        assert text_of(found) == TEXT
        assert found.sources == (f"{web}/a.txt",)
        (tmp_path / "web" / "a.txt").write_bytes(TEXT.encode().replace(b"text", b"news"))
        assert text_of(load_corpus([f"{web}/a.txt"])) == TEXT.replace("text", "news"), "changed, but of the same size"


@pytest.mark.parametrize("name", ["memory://nothing/a.txt", "memory://nothing/*.txt", "file:///nothing/at/all"])
def test_a_text_that_is_not_there(name: str, store, web: str) -> None:
    with pytest.raises(CorpusError, match=r"cannot be read \(there is no such file\)|no file matches") as caught:
        load_corpus([name])
    assert "\n" not in str(caught.value)


def test_a_page_that_is_not_there(web: str) -> None:
    with pytest.raises(CorpusError, match="cannot be read"):
        load_corpus([f"{web}/nothing.txt"])


def test_a_scheme_that_nobody_knows() -> None:
    with pytest.raises(CorpusError, match=r"'none://a/b' cannot be read .*none"):
        load_corpus(["none://a/b"])


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(CorpusError, match=r"pip install 'numlstm\[remote\]'"):
        load_corpus(["s3://bucket/a.txt"])
    with pytest.raises(StorageError, match=r"pip install 'numlstm\[remote\]'"):
        weights_file.check_output("s3://bucket/w.npz", overwrite=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://a/b", True),
        ("https://a.b/c?d=e", True),
        ("zip::memory://a", True),
        ("file:///a", True),
        ("a/b", False),
        ("C:\\a", False),
        ("C://a", False),
        ("a://b".replace("a:", "aé:"), False),
        (Path("s3://a"), False),
    ],
)
def test_what_is_remote(name: str | Path, expected: bool) -> None:
    assert remote.is_remote(name) is expected


class TestWeights:
    @pytest.fixture(params=["memory", "file"])
    def url(self, request: pytest.FixtureRequest, store, tmp_path: Path) -> str:
        """Return an address in a store with atomic uploads (memory), or in one where files must be renamed (file)."""
        return f"memory://{tmp_path.name}/runs/w.npz" if request.param == "memory" else f"file://{tmp_path}/runs/w.npz"

    def test_what_is_saved_comes_back(self, url: str) -> None:
        weights_file.check_output(url, overwrite=False)
        weights_file.save(url, a_file())
        found = weights_file.load(url)
        assert found.params.tobytes() == a_file().params.tobytes()
        assert found.summary == {"a": 1}

    def test_an_existing_file_is_not_overwritten_unasked(self, url: str) -> None:
        assert not atomic.exists(url)
        weights_file.check_output(url, overwrite=False)
        weights_file.save(url, a_file())
        assert atomic.exists(url)
        with pytest.raises(StorageError, match="may hold hours of work"):
            weights_file.check_output(url, overwrite=False)
        weights_file.check_output(url, overwrite=True)

    def test_nothing_else_is_left_behind(self, url: str) -> None:
        weights_file.check_output(url, overwrite=False)
        for _ in range(2):
            weights_file.save(url, a_file())
        fs, path = fsspec.core.url_to_fs(url)
        assert [name.rpartition("/")[2] for name in fs.find(path.rpartition("/")[0])] == ["w.npz"]

    def test_an_upload_that_fails_leaves_the_old_file(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        weights_file.check_output(url, overwrite=False)
        weights_file.save(url, a_file())
        fs, path = fsspec.core.url_to_fs(url)
        before = fs.cat_file(path)

        def fail(*args: object, **options: object) -> None:
            raise RuntimeError("the line is dead")

        monkeypatch.setattr(type(fs), "put_file", fail)
        with pytest.raises(StorageError, match=r"cannot be written: the line is dead; choose another place"):
            weights_file.save(url, a_file())
        monkeypatch.undo()
        assert fs.cat_file(path) == before

    def test_a_file_that_is_not_there(self, url: str) -> None:
        with pytest.raises(WeightsError, match="there is no file"):
            weights_file.load(url)


def test_a_place_that_cannot_be_written_to(web: str) -> None:
    with pytest.raises(StorageError, match="cannot be written") as caught:
        weights_file.check_output(f"{web}/w.npz", overwrite=True)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_renamed_at_the_end_is_never_seen_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/w.npz"
    weights_file.save(url, a_file())
    fs = type(fsspec.core.url_to_fs(url)[0])
    put, seen = fs.put_file, []

    def watched(self: object, local: str, path: str, **options: object) -> None:
        put(self, local, path, **options)
        seen.append(path)

    monkeypatch.setattr(fs, "put_file", watched)
    weights_file.save(url, a_file())
    assert seen
    assert all(path.endswith(".tmp") for path in seen)
