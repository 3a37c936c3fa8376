"""Models over HTTP: listing, describing, downloading, uploading and deleting, with no partial files left."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from numlstm.network import weights_file
from numlstm.serve.http.refusal import Refusal
from numlstm.serve.server_settings import Settings
from numlstm.serve.stores.models import ModelStore
from numlstm.storage import atomic
from numlstm.storage.temporary import temporary_beside

DESCRIBED = {
    "id", "object", "created", "owned_by", "shipped", "bytes", "parameters", "layers", "level", "vocabulary", "loss",
    "title", "resumable", "problem",
}  # fmt: skip


@pytest.fixture
def tiny(models):
    return (models / "tiny.npz").read_bytes()


def code(answer):
    """Return the status and the error code of a refused request."""
    return answer.status_code, answer.json()["error"]["code"]


class TestShelf:
    def test_lists_the_folder_first(self, models):
        shutil.copy(models / "tiny.npz", models / "another.npz")
        names = ModelStore(Settings(models=models)).names()
        assert names[:2] == ["another", "tiny"]
        assert {"shakespeare", "python"} == {*names[2:]}

    def test_sees_only_what_can_be_asked_for(self, models):
        for name in (".hidden.npz", "-x.npz", "a b.npz", "con.npz", "notes.txt", "shakespeare.npz"):
            shutil.copy(models / "tiny.npz", models / name)
        (models / "folder.npz").mkdir()
        assert ModelStore(Settings(models=models)).names() == ["tiny", "python", "shakespeare"]

    def test_takes_the_model_that_changed_last(self, models):
        shelf = ModelStore(Settings(models=models))
        shutil.copy(models / "tiny.npz", models / "newer.npz")
        os.utime(models / "tiny.npz", (1, 1))
        assert shelf.default() == "newer"
        os.utime(models / "newer.npz", (0, 0))
        assert shelf.default() == "tiny"

    def test_takes_one_that_ships_where_there_is_no_folder(self, tmp_path):
        assert ModelStore(Settings(models=tmp_path / "none")).default() == "python"

    def test_describes_a_model_without_reading_its_numbers(self, models, monkeypatch):
        monkeypatch.setattr(weights_file, "load", None)
        found = ModelStore(Settings(models=models)).describe("tiny")
        assert {*found} == DESCRIBED
        assert (found["layers"], found["level"], found["title"]) == ([16], "char", "steps.txt")
        assert found["resumable"]
        assert found["loss"] > 0
        assert found["problem"] is None

    def test_describes_it_anew_when_its_file_has_changed(self, models):
        shelf = ModelStore(Settings(models=models))
        before = shelf.describe("tiny")
        assert shelf.describe("tiny") is before
        shutil.copy(shelf.path("shakespeare"), models / "tiny.npz")
        assert shelf.describe("tiny")["layers"] == [272, 272]

    def test_describes_what_cannot_be_used_too(self, models):
        (models / "broken.npz").write_bytes(b"PK no archive")
        found = ModelStore(Settings(models=models)).describe("broken")
        assert {*found} == DESCRIBED
        assert found["problem"].startswith("broken.npz is damaged or cut short")
        assert str(models) not in found["problem"]

    def test_believes_nothing_of_what_a_file_tells(self, models):
        file = weights_file.load(models / "tiny.npz")
        for n, summary in enumerate(
            (
                {},
                {"about": 5, "corpus": [], "evaluated": "x", "best_loss": "low"},
                {"about": {"title": ["x" * 999]}, "evaluated": {"carried": True}},
                {"corpus": {"sources": ["/home/anna/secret/diary.txt", 3]}, "evaluated": {}},
            )
        ):
            weights_file.save(
                models / f"odd{n}.npz", weights_file.WeightsFile(file.config, file.vocab, file.params, summary)
            )
        shelf = ModelStore(Settings(models=models))
        found = [shelf.describe(f"odd{n}") for n in range(4)]
        assert [each["loss"] for each in found] == [None] * 4
        assert len(found[2]["title"]) <= 200
        assert found[3]["title"] == "diary.txt, 3"

    def test_removes_what_a_server_that_was_killed_left(self, models):
        found = temporary_beside(models / "new.npz")
        mine, theirs = found, models / found.name.replace(f"-{os.getpid()}-", "-999999999-")
        for path in (mine, theirs):
            path.write_bytes(b"half")
        ModelStore(Settings(models=models)).sweep()
        assert mine.exists()
        assert not theirs.exists() or os.name != "posix"

    def test_asks_who_is_writing(self, models):
        shelf = ModelStore(Settings(models=models))
        shelf.busy = lambda name: name == "tiny"
        with pytest.raises(Refusal, match="stop it first") as caught:
            shelf.delete("tiny")
        assert caught.value.status == 409
        assert (models / "tiny.npz").exists()


class TestHttp:
    def test_lists(self, client):
        found = client.get("/v1/models").json()
        assert found["object"] == "list"
        assert all({*model} == DESCRIBED for model in found["data"])
        assert client.get("/v1/models/tiny").json() == found["data"][0]

    def test_downloads(self, client, tiny):
        answer = client.get("/v1/models/tiny/file")
        assert answer.content == tiny
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == 'attachment; filename="tiny.npz"'
        assert client.get("/v1/models/shakespeare/file").content[:2] == b"PK"

    def test_uploads(self, client, tiny, models):
        answer = client.put("/v1/models/mine/file", content=tiny)
        assert answer.status_code == 201
        assert answer.json() == client.get("/v1/models/mine").json()
        assert (models / "mine.npz").read_bytes() == tiny
        text = client.post("/v1/completions", json={"model": "mine", "prompt": "The "})
        assert text.status_code == 200

    def test_uploads_under_a_name_of_any_script(self, client, tiny, models):
        assert client.put("/v1/models/심청전/file", content=tiny).status_code == 201
        assert client.get("/v1/models").json()["data"][1]["id"] == "심청전"
        assert "utf-8''%EC%8B%AC" in client.get("/v1/models/심청전/file").headers["content-disposition"]

    def test_replaces_only_if_told_to(self, client, tiny, models):
        other = (client.get("/v1/models/shakespeare/file")).content
        assert code(client.put("/v1/models/tiny/file", content=other)) == (409, "exists")
        assert (models / "tiny.npz").read_bytes() == tiny
        before = client.post("/v1/completions", json={"model": "tiny", "prompt": "The ", "seed": 1}).json()
        assert client.put("/v1/models/tiny/file?overwrite=true", content=other).status_code == 201
        after = client.post("/v1/completions", json={"model": "tiny", "prompt": "The ", "seed": 1}).json()
        assert after["choices"] != before["choices"]
        assert after["system_fingerprint"] != before["system_fingerprint"]

    def test_deletes(self, client, models):
        assert client.delete("/v1/models/tiny").json() == {"id": "tiny", "object": "model", "deleted": True}
        assert not (models / "tiny.npz").exists()
        assert code(client.delete("/v1/models/tiny")) == (404, "model_not_found")
        assert code(client.post("/v1/completions", json={"model": "tiny"})) == (404, "model_not_found")

    def test_leaves_alone_what_ships(self, client, tiny):
        assert code(client.delete("/v1/models/shakespeare")) == (403, "model_shipped")
        assert code(client.put("/v1/models/shakespeare/file?overwrite=true", content=tiny)) == (409, "exists")

    def test_changes_nothing_where_there_is_no_training(self, inside, tiny, models):
        client = inside(train=False)
        assert code(client.put("/v1/models/mine/file", content=tiny)) == (403, "read_only")
        assert code(client.delete("/v1/models/tiny")) == (403, "read_only")
        assert [path.name for path in models.iterdir()] == ["tiny.npz"]

    def test_makes_the_folder_when_it_is_needed(self, inside, tiny, tmp_path):
        client = inside(models=tmp_path / "new" / "folder")
        assert client.get("/v1/models").status_code == 200
        assert not (tmp_path / "new").exists()
        assert client.put("/v1/models/mine/file", content=tiny).status_code == 201

    @pytest.mark.parametrize(
        "name",
        ["..%2fevil", "..%5cevil", "%2e%2e", "..", ".hidden", "a%00b", "con", "NUL.x", "a%20b", "%2fetc%2fevil",
         "C:evil", "x" * 65, "-rf", "a%0ab", "%ff"],
    )  # fmt: skip
    def test_names_lead_nowhere_else(self, shared, trained, name):
        before = sorted(trained.parent.rglob("*"))
        tiny = (trained / "tiny.npz").read_bytes()
        assert shared.put(f"/v1/models/{name}/file", content=tiny).status_code in (400, 404, 405)
        assert shared.get(f"/v1/models/{name}/file").status_code in (400, 404)
        assert shared.delete(f"/v1/models/{name}").status_code in (400, 404, 405)
        assert sorted(trained.parent.rglob("*")) == before

    @pytest.mark.parametrize(
        "path", ["..%2f..%2fapp.py", "%2e%2e/app.py", "../app.py", "//etc/passwd", "%00", "main.js%00"]
    )
    def test_the_page_s_addresses_lead_nowhere_else(self, shared, path):
        answer = shared.get(f"/page/{path}")
        assert answer.status_code in (400, 404)
        assert "ASGI" not in answer.text


class TestFaults:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda tiny: b"",
            lambda tiny: b"PK\x03\x04",
            lambda tiny: tiny[: len(tiny) // 2],
            lambda tiny: b"hello " * 1000,
            lambda tiny: tiny.replace(b'"\0\0\0f\0\0\0o\0\0\0r\0\0\0m', b'"\0\0\0f\0\0\0o\0\0\0r\0\0\0n', 1),
            lambda tiny: tiny[: len(tiny) // 2] + b"\xff" * 64 + tiny[len(tiny) // 2 + 64 :],
        ],
        ids=["empty", "only a beginning", "half", "text", "another format", "changed in the middle"],
    )
    def test_a_corrupt_upload(self, client, tiny, models, spoil):
        spoilt = spoil(tiny)
        assert spoilt != tiny
        answer = client.put("/v1/models/tiny/file?overwrite=true", content=spoilt)
        assert code(answer) == (422, "invalid_model")
        assert str(models) not in answer.text
        assert [path.name for path in models.iterdir()] == ["tiny.npz"]
        assert (models / "tiny.npz").read_bytes() == tiny

    def test_an_upload_that_is_too_large(self, inside, tiny, models):
        client = inside(max_upload=1000)
        assert code(client.put("/v1/models/mine/file", content=tiny)) == (413, "too_large")
        assert code(client.put("/v1/models/mine/file", content=iter([tiny[:600], tiny[600:]]))) == (413, "too_large")
        assert [path.name for path in models.iterdir()] == ["tiny.npz"]

    @pytest.mark.parametrize("where", ["write", "sync", "replace"])
    @pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
    def test_a_full_or_broken_disk(self, client, tiny, models, monkeypatch, where, error):
        def fail(*arguments):
            raise OSError(error, os.strerror(error), str(models / "secret"))

        if where == "write":
            real = open

            def opened(path, mode, **more):
                file = real(path, mode, **more)
                return Full(file, fail)

            monkeypatch.setattr(atomic, "open", opened, raising=False)
        else:
            monkeypatch.setattr(os, {"sync": "fsync", "replace": "replace"}[where], fail)
        answer = client.put("/v1/models/mine/file", content=tiny)
        assert code(answer) == ((507, "disk_full") if error == errno.ENOSPC else (500, "not_written"))
        assert "secret" not in answer.text
        assert [path.name for path in models.iterdir()] == ["tiny.npz"]

    def test_a_model_that_cannot_be_read(self, client, tiny, models):
        (models / "broken.npz").write_bytes(tiny[:-100])
        assert client.get("/v1/models/broken").json()["problem"]
        answer = client.post("/v1/completions", json={"model": "broken"})
        assert code(answer) == (422, "model_unusable")
        assert str(models) not in answer.text
        early = client.get("/?inputText=a&model=broken")
        assert (early.status_code, early.json()["generated"]) == (422, None)

    @pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root can read every file")
    def test_a_model_that_may_not_be_read(self, client, models):
        (models / "tiny.npz").chmod(0)
        assert "ermission" in client.get("/v1/models/tiny").json()["problem"]
        assert client.post("/v1/completions", json={"model": "tiny"}).status_code == 422

    def test_two_uploads_of_one_name(self, client, tiny, models, monkeypatch):
        """A model of the same name appears while an upload is checked: the upload is refused with 409."""
        real = weights_file.load

        def slow(path):
            shutil.copy(models / "tiny.npz", models / "mine.npz")  # another upload finished first
            time.sleep(0.01)
            return real(path)

        monkeypatch.setattr(weights_file, "load", slow)
        assert code(client.put("/v1/models/mine/file", content=tiny)) == (409, "exists")
        assert sorted(path.name for path in models.iterdir()) == ["mine.npz", "tiny.npz"]

    def test_uploads_that_wait_to_be_checked_hold_nobody_up(self, client, tiny, models, monkeypatch):
        """Uploads are checked one at a time; here more of them wait than there are threads."""
        real, go_on = weights_file.load, threading.Event()

        def slow(path):
            assert go_on.wait(60)
            return real(path)

        monkeypatch.setattr(weights_file, "load", slow)
        with ThreadPoolExecutor(49) as pool:
            answers = [pool.submit(client.put, f"/v1/models/mine{n}/file", content=tiny) for n in range(48)]
            try:
                deadline = time.monotonic() + 20
                while len([*models.glob(".*.tmp")]) < 48 and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert pool.submit(client.get, "/v1/models").result(20).status_code == 200
            finally:
                go_on.set()
            assert {answer.result().status_code for answer in answers} == {201}


class Full:
    """A file whose writes fail."""

    def __init__(self, file, write):
        self._file, self.write, self.fileno = file, write, file.fileno

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()
