"""A client for training jobs, and `numlstm train` runs to compare their results with."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from numlstm.cli import app
from numlstm.network import weights_file
from numlstm.serve.jobs.runner import JobRunner
from numlstm.text.sources.python_library import python_source

TEXT = python_source()[:6000]
TINY: dict[str, Any] = {"layers": "12,9", "batch_size": 4, "seq_len": 16, "sample_length": 20}
_SLOW_STEPS = """
import time
import numlstm.training.loop as training
from numlstm.serve.jobs.worker import main
make_steps = training._steps
def slow_steps(*arguments):
    time.sleep(0.04)
    return make_steps(*arguments)
training._steps = slow_steps
main()
"""
SLOW_WORKER = (sys.executable, "-c", _SLOW_STEPS)  # each call sleeps for 40 ms
ENDED = ("stopped", "done", "failed")

Json = dict[str, Any]


def take_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow down the steps of jobs, which leaves time to stop them and keeps the CPU free."""
    monkeypatch.setattr(JobRunner, "command", SLOW_WORKER)


class Client:
    """A client that asserts the expected status of each response."""

    def __init__(self, url: str = "", http: httpx.Client | None = None) -> None:
        # Without `verify` a client loads no certificates, which takes longer than most requests here.
        self.http = http or httpx.Client(base_url=url, timeout=60, verify=False)

    def ask(self, method: str, path: str, status: int = 200, **sent: Any) -> Json:
        answer = self.http.request(method, path, **sent)
        assert answer.status_code == status, answer.text
        found: Json = answer.json()
        return found

    def refused(self, method: str, path: str, status: int, **sent: Any) -> Json:
        error: Json = self.ask(method, path, status, **sent)["error"]
        assert "\n" not in error["message"]
        return error

    def create(self, model: str, *, corpus: str | None = None, text: str | None = None, **options: Any) -> str:
        """Create a job that trains a tiny network; return its id."""
        text = TEXT if corpus is None and text is None else text
        wanted = {"model": model, "corpus": corpus, "text": text, "options": {**TINY, **options}}
        job = self.ask("POST", "/v1/jobs", 201, json=wanted)
        assert job["state"] == "waiting"
        return str(job["id"])

    def job(self, id_: str) -> Json:
        return self.ask("GET", f"/v1/jobs/{id_}")

    def until(self, id_: str, when: Callable[[Json], bool], seconds: float = 90) -> Json:
        """Poll the job until `when(job)` is true; return it. Fails after `seconds`."""
        deadline = time.monotonic() + seconds
        while not when(job := self.job(id_)):
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job

    def ended(self, id_: str) -> Json:
        return self.until(id_, lambda job: job["state"] in ENDED)

    def events(self, id_: str, after: int = 0, **headers: str) -> Iterator[tuple[int | None, str, Json]]:
        """Yield the events of a job as they come: id, kind and data."""
        sent = {"Last-Event-ID" if name == "last" else name: value for name, value in headers.items()}
        with self.http.stream("GET", f"/v1/jobs/{id_}/events", params={"after": after}, headers=sent) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif "data" in fields:
                    number = int(fields["id"]) if "id" in fields else None
                    yield number, fields["event"], json.loads(fields["data"])
                    fields = {}


def train(folder: Path, output: str, **options: Any) -> Path:
    """Run `numlstm train` with the options of a job; return the path of the weights."""
    text = folder / "the.txt"
    text.write_text(TEXT, encoding="utf-8", newline="")
    options = {**TINY, "device": "reference", **options}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = CliRunner().invoke(app, ["train", str(text), "-o", str(folder / output), *words])
    assert done.exit_code == 0, done.output
    return folder / output


def contents(path: Path) -> tuple[Any, ...]:
    """Return a checkpoint's contents, without the duration, text path and commands, which differ between runs."""
    file = weights_file.load(path)
    assert file.state is not None
    state = file.state
    arrays = (file.params, state.params, *state.slots.values(), *state.h, *state.c)
    own = ("seconds", "commands", "corpus")
    record = {name: value for name, value in state.record.items() if name not in own}
    digest = state.record["corpus"]["digest"]
    return (*(array.tobytes() for array in arrays), record, digest, state.step, state.config)
