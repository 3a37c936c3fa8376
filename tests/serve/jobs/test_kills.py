"""Jobs survive the death of the server, of the worker process, or of both."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from numlstm.serve.jobs import lock
from tests.serve.training import SLOW_WORKER, TINY, Client, contents, train
from tests.serve.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals"),
]

STEPS = 100
OFTEN = {"steps": STEPS, "save_every": "20steps", "sample_length": 0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights file of an uninterrupted run."""
    return train(tmp_path_factory.mktemp("whole"), "whole.npz", **OFTEN)


def worker_of(server: Any) -> int:
    """Return the process id of a server's training worker."""
    children = Path(f"/proc/{server.process.pid}/task")
    if not children.exists():
        pytest.skip("needs /proc to find the worker process")
    found = [int(each) for task in children.iterdir() for each in (task / "children").read_text().split()]
    (worker,) = (each for each in found if b"worker" in Path(f"/proc/{each}/cmdline").read_bytes())
    return worker


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def opened(process: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            found.append(os.readlink(path))
    return found


def under_way(server: Any) -> tuple[str, int]:
    """Create a job and wait until it has saved; return its id and the worker's process id."""
    with (client := Client(server.url)).http:
        id_ = client.create("new", **OFTEN)
        client.until(id_, lambda job: (job["step"] or 0) > 20)
        return id_, worker_of(server)


def test_the_server_is_killed(
    serve_process: Callable[..., Any], serve: Callable[..., Any], models: Path, whole: Path
) -> None:
    server = serve_process(worker=SLOW_WORKER)
    first, worker = under_way(server)
    with (client := Client(server.url)).http:
        second = client.create("second", steps=2)
    server.end(signal.SIGKILL)
    until(lambda: not runs(worker))
    saved = contents(models / "new.npz")
    assert 20 < saved[-2] < STEPS, "the worker must save and exit on its own"
    with (client := Client(serve().url)).http:
        jobs = client.ask("GET", "/v1/jobs")["data"]
        assert (jobs[0]["id"], jobs[0]["state"]) == (second, "waiting")
        assert client.job(first)["step"] >= saved[-2]
        assert client.ended(first)["state"] == "done"
        assert client.ended(second)["state"] == "done"
        starts = [data["step"] for _, kind, data in client.events(first) if kind == "start"]
        assert starts == [0, saved[-2]]
        assert "start" in [kind for _, kind, _ in client.events(first, after=5000)], "no second start event"
    assert contents(models / "new.npz") == contents(whole)
    assert not list(models.glob(".*.tmp"))


def test_a_new_server_waits_for_a_process_that_still_saves(
    serve_process: Callable[..., Any], models: Path, whole: Path
) -> None:
    server = serve_process(worker=SLOW_WORKER)
    first, worker = under_way(server)
    os.kill(worker, signal.SIGSTOP)
    try:
        server.end(signal.SIGKILL)
        with (client := Client((again := serve_process()).url)).http:
            client.until(first, lambda job: job["state"] == "running")
            time.sleep(0.5)
            assert not lock.is_free(models / "jobs" / first / "lock")
            with pytest.raises(ValueError, match="not enough values"):
                worker_of(again)
            os.kill(worker, signal.SIGCONT)
            assert client.ended(first)["state"] == "done"
    finally:
        if runs(worker):
            os.kill(worker, signal.SIGCONT)
    assert contents(models / "new.npz") == contents(whole)


def test_others_need_not_wait_for_a_job_that_is_being_deleted(serve_process: Callable[..., Any]) -> None:
    server = serve_process(worker=SLOW_WORKER)
    first, worker = under_way(server)
    os.kill(worker, signal.SIGSTOP)
    try:
        with (client := Client(server.url)).http, ThreadPoolExecutor(1) as pool:
            deleting = pool.submit(client.ask, "DELETE", f"/v1/jobs/{first}")
            client.until(first, lambda job: job["state"] == "stopping")
            client.create("second", steps=2)
            assert not deleting.done()
            os.kill(worker, signal.SIGCONT)
            assert deleting.result()["deleted"]
    finally:
        if runs(worker):
            os.kill(worker, signal.SIGCONT)


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_both_are_ended(
    serve_process: Callable[..., Any], serve: Callable[..., Any], models: Path, whole: Path, number: str
) -> None:
    """systemd signals the server and all its child processes."""
    server = serve_process(worker=SLOW_WORKER)
    first, worker = under_way(server)
    os.kill(worker, getattr(signal, number))
    server.end(getattr(signal, number))
    until(lambda: not runs(worker))
    with (client := Client(serve().url)).http:
        assert client.ended(first)["state"] == "done"
    assert contents(models / "new.npz") == contents(whole)


def test_the_process_that_trains_is_ended(serve_process: Callable[..., Any], models: Path, whole: Path) -> None:
    """After SIGTERM the job restarts by itself; after SIGKILL, as when memory runs out, it waits for a resume."""
    server = serve_process(worker=SLOW_WORKER)
    first, worker = under_way(server)
    assert os.getpriority(os.PRIO_PROCESS, worker) > os.getpriority(os.PRIO_PROCESS, 0), "too high a priority"
    assert any("socket" in path for path in opened(server.process.pid))
    assert not any("socket" in path for path in opened(worker))
    known = {name.partition("=")[0] for name in Path(f"/proc/{worker}/environ").read_text().split("\0")}
    assert known - {*os.environ, "NO_COLOR", "PYTHONIOENCODING"} == {""}, "the worker has other variables"
    with (client := Client(server.url)).http:
        os.kill(worker, signal.SIGTERM)
        client.until(first, lambda job: job["state"] == "waiting")
        client.until(first, lambda job: job["state"] == "running")
        until(lambda: not lock.is_free(models / "jobs" / first / "lock"))
        os.kill(worker_of(server), signal.SIGKILL)
        job = client.ended(first)
        assert job["state"] == "failed"
        assert job["error"] == "the training process was ended by signal 9, perhaps because memory ran out"
        client.ask("POST", f"/v1/jobs/{first}/resume")
        assert client.ended(first)["state"] == "done"
    assert contents(models / "new.npz") == contents(whole)


def test_a_model_that_is_replaced_is_not_gone_on_with(
    serve_process: Callable[..., Any], serve: Callable[..., Any], models: Path
) -> None:
    """Until the job saves for the first time, the file of that name belongs to another run."""
    server, before = serve_process(), (models / "tiny.npz").read_bytes()
    with (client := Client(server.url)).http:
        options = {**TINY, "steps": 1500, "save_every": "1h"}
        wanted = {"model": "tiny", "corpus": "tales", "options": options, "overwrite": True}
        id_ = client.ask("POST", "/v1/jobs", 201, json=wanted)["id"]
        client.until(id_, lambda job: (job["step"] or 0) > 5)
        os.kill(worker_of(server), signal.SIGKILL)
        server.end(signal.SIGKILL)
    assert (models / "tiny.npz").read_bytes() == before
    with (client := Client(serve().url)).http:
        log = models / "jobs" / id_ / "run.jsonl"
        until(lambda: log.read_text("utf-8").count('"event": "start"') == 2)
        assert (models / "tiny.npz").read_bytes() == before
        client.ask("POST", f"/v1/jobs/{id_}/stop")
        assert client.ended(id_)["state"] == "stopped"
        assert [data["step"] for _, kind, data in client.events(id_) if kind == "start"] == [0, 0]
    assert (models / "tiny.npz").read_bytes() != before


def test_the_server_ends_well_while_a_job_runs(
    serve_process: Callable[..., Any], serve: Callable[..., Any], models: Path, whole: Path
) -> None:
    server = serve_process(worker=SLOW_WORKER)
    first, worker = under_way(server)
    began = time.monotonic()
    assert server.end(signal.SIGINT) == 0
    assert time.monotonic() - began < 10
    assert not runs(worker)
    assert contents(models / "new.npz")[-2] < STEPS
    with (client := Client(serve().url)).http:
        assert client.ended(first)["state"] == "done"
    assert contents(models / "new.npz") == contents(whole)


def test_the_server_is_killed_while_a_text_comes(
    serve_process: Callable[..., Any], serve: Callable[..., Any], models: Path
) -> None:
    server = serve_process()
    with (client := Client(server.url)).http:
        client.ask("PUT", "/v1/corpora/mine", 201, content=b"the text that was there")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT /v1/corpora/mine?overwrite=true HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + b"another text " * 9000)
        until(lambda: any(path.stat().st_size > 1000 for path in models.glob("texts/.*.tmp")))
        server.end(signal.SIGKILL)
    assert [path.read_bytes() for path in models.glob("texts/*.txt")] == [b"the text that was there"]
    with (client := Client((again := serve()).url)).http:
        (mine,) = (each for each in client.ask("GET", "/v1/corpora")["data"] if each["source"] == "upload")
        assert mine["bytes"] == len("the text that was there")
        with socket.create_connection(("127.0.0.1", again.port)) as connection:  # and a client that disconnects
            head = head.replace(str(server.port), str(again.port))
            connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + b"another text " * 9000)
            until(lambda: len([*models.glob("texts/.*.tmp")]) == 1)
        until(lambda: not [*models.glob("texts/.*.tmp")])
    assert [path.read_bytes() for path in models.glob("texts/*.txt")] == [b"the text that was there"]
