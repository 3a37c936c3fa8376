"""Limits on jobs, and how training handles full disks, damaged folders and clients that disconnect."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from numlstm.serve.jobs.runner import JobRunner
from tests.serve.training import TEXT, TINY, Client, take_time
from tests.serve.waiting import until

JOB = {"model": "new", "text": TEXT, "options": {**TINY, "steps": 2}}


@pytest.fixture
def within(inside: Callable[..., Any]) -> Callable[..., Client]:
    """Return a function that creates a client of an in-process application."""
    return lambda **settings: Client(http=inside(**settings))


def test_without_training_nothing_changes(within: Callable[..., Client], models: Path) -> None:
    client = within(train=False)
    for method, path, sent in (
        ("POST", "/v1/jobs", {"json": JOB}),
        ("POST", "/v1/jobs/x/stop", {}),
        ("POST", "/v1/jobs/x/resume", {}),
        ("DELETE", "/v1/jobs/x", {}),
        ("PUT", "/v1/corpora/mine", {"content": b"text"}),
        ("DELETE", "/v1/corpora/mine", {}),
    ):
        assert client.refused(method, path, 403, **sent)["code"] == "training_off"
    assert client.ask("GET", "/v1/jobs")["data"] == []
    assert [path.name for path in models.iterdir()] == ["tiny.npz"]


def test_so_many_jobs_and_no_more(within: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    take_time(monkeypatch)
    client = within(max_jobs=2)
    ids = [client.create(name, steps=100_000) for name in "ab"]
    assert client.refused("POST", "/v1/jobs", 429, json=JOB)["code"] == "too_many_jobs"
    for id_ in ids:
        client.ask("DELETE", f"/v1/jobs/{id_}", params={"model": True})
    client.create("new", steps=1)


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"text": None}, None),
        ({"corpus": "tales"}, None),
        ({"text": ""}, "text"),
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"options": {"epochs": "7"}}, "options.epochs"),
        ({"options": {"output": "x"}}, "options"),
        ({"options": {"lr": [1]}}, "options"),
        ({"options": {"epochs": 1, "steps": 1}}, "options"),
        ({"overwrite": "yes"}, "overwrite"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_cannot_be_a_job(shared: Any, trained: Path, changed: Any, param: str) -> None:
    client = Client(http=shared)
    assert client.refused("POST", "/v1/jobs", 400, json={**JOB, **changed})["param"] == param
    assert not (trained / "jobs").exists()


def test_jobs_that_there_are_not(within: Callable[..., Client], models: Path) -> None:
    client = within()
    for method, path in (
        ("GET", ""), ("GET", "/events"), ("POST", "/stop"), ("POST", "/resume"), ("DELETE", ""),
    ):  # fmt: skip
        for id_ in ("job-0", "%2e%2e", "lock", "x" * 200):
            client.refused(method, f"/v1/jobs/{id_}{path}", 404)
    assert not (models / "jobs").exists()


def test_texts(within: Callable[..., Client], models: Path) -> None:
    client = within(max_upload=2**20)
    put = "/v1/corpora/mine"
    assert client.ask("PUT", put, 201, content="도서관\n".encode())["bytes"] == 10
    assert client.refused("PUT", put, 409, content=b"x")["code"] == "corpus_exists"
    assert client.refused("PUT", "/v1/corpora/tales?overwrite=true", 409, content=b"x")["code"] == "corpus_exists"
    put += "?overwrite=true"
    said = client.refused("PUT", put, 400, content=b"ab\xffc")["message"]
    assert "the byte 0xFF at offset 2" in said
    assert client.refused("PUT", put, 400, content="도서관".encode()[:-1])["code"] == "not_utf8"
    assert client.refused("PUT", put, 400, content=b"")["code"] == "empty_text"
    client.refused("PUT", put, 413, content=b"x" * (2**20 + 1))
    assert [path.read_text("utf-8") for path in (models / "texts").iterdir()] == ["도서관\n"]
    assert client.refused("DELETE", "/v1/corpora/tales", 403)["code"] == "corpus_fixed"
    client.refused("DELETE", "/v1/corpora/yours", 404)
    assert client.ask("DELETE", "/v1/corpora/mine")["deleted"]
    (models / "texts" / "folder.txt").mkdir()
    if os.name == "posix":
        (models / "texts" / "gone.txt").symlink_to(models / "nowhere")
    sources = {each["source"] for each in client.ask("GET", "/v1/corpora")["data"]}
    assert sources == {"package", "stdlib", "download"}


def test_the_servers_disk_is_full(within: Callable[..., Client], models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    client = within()
    client.ask("PUT", "/v1/corpora/mine", 201, content=b"the text that was there")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        for method, path, sent in (
            ("PUT", "/v1/corpora/mine?overwrite=true", {"content": b"another"}),
            ("POST", "/v1/jobs", {"json": JOB}),
        ):
            error = client.refused(method, path, 507, **sent)
            assert "No space left on device" in error["message"]
            assert str(models) not in error["message"]
    assert client.ask("GET", "/v1/jobs")["data"] == []
    assert [path.name for path in (models / "jobs").iterdir()] == ["lock"]
    assert [path.read_bytes() for path in (models / "texts").iterdir()] == [b"the text that was there"]
    client.create("new", corpus="mine")


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
from numlstm.serve.jobs.worker import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_disk_is_full_while_it_trains(
    within: Callable[..., Client], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = within()
    monkeypatch.setattr(JobRunner, "command", (sys.executable, "-c", LIMITED))
    id_ = client.create("new", steps=30)
    job = client.ended(id_)
    assert job["state"] == "failed"
    assert job["error"].startswith("new.npz cannot be written: File too large; nothing was written")
    assert not (models / "new.npz").exists()
    assert not list(models.glob(".*.tmp"))
    monkeypatch.undo()
    client.ask("POST", f"/v1/jobs/{id_}/resume")
    job = client.ended(id_)
    assert (job["state"], job["step"], job["error"]) == ("done", 30, None)


def test_two_servers_for_one_folder(within: Callable[..., Client]) -> None:
    first, second = within(), within()
    id_ = first.create("new", steps=1)
    assert second.refused("POST", "/v1/jobs", 409, json=JOB)["code"] == "folder_busy"
    assert first.ended(id_)["state"] == "done"


def test_folders_that_hold_no_job(within: Callable[..., Client], models: Path) -> None:
    for name, content in (("job-1", None), ("job-2", b"{"), ("job-3", b"[]"), ("job-4", b'{"id": "job-4"}')):
        (models / "jobs" / name).mkdir(parents=True)
        if content is not None:
            (models / "jobs" / name / "job.json").write_bytes(content)
    client = within()
    id_ = client.create("new", steps=1)
    assert client.ended(id_)["state"] == "done"
    assert [job["id"] for job in client.ask("GET", "/v1/jobs")["data"]] == [id_]
    assert not (models / "jobs" / "job-1").exists(), "a folder left by a killed server must be removed"
    assert (models / "jobs" / "job-2").exists(), "a damaged job must be kept for repair"


def test_followers_leave_and_are_left(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    take_time(monkeypatch)
    with (client := Client(serve().url)).http:
        first, id_ = client.create("a", steps=100_000), client.create("b", steps=100_000)
        kind, state = next((kind, data) for _, kind, data in client.events(id_))
        assert (kind, state["state"], state["place"]) == ("state", "waiting", 1)
        until(lambda: 'route="/v1/jobs/{id}/events"' in client.http.get("/metrics").text)  # the request has ended
        events = client.events(id_)
        next(events)
        with (other := Client(str(client.http.base_url))).http:
            other.ask("POST", f"/v1/jobs/{first}/stop")
            assert next(data["state"] for _, kind, data in events if kind == "state") == "running"
            other.ask("DELETE", f"/v1/jobs/{id_}")
        assert {data["state"] for _, kind, data in events if kind == "state"} <= {"stopping", "stopped"}, "not stopped"


@pytest.mark.slow
def test_a_long_log_and_a_torn_line(within: Callable[..., Client], models: Path) -> None:
    client = within()
    id_ = client.create("new", steps=1)
    client.ended(id_)
    log = models / "jobs" / id_ / "run.jsonl"
    long = {"event": "sample", "time": 0.0, "step": 1, "prompt": "", "temperature": 0.0, "text": "x" * 300_000}
    with open(log, "ab") as file:
        file.write(b'{"event": "st\n' + (json.dumps(long) + "\n").encode() * 3 + b'{"event": "end", "st')
    events = [(kind, data) for _, kind, data in client.events(id_)]
    assert [data for _, data in events[-4:-1]] == [long] * 3
    assert events[-1][0] == "state"
