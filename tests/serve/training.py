"""A client that trains, as tests need it, and what its runs must come to: those of `numlstm train`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from numlstm import weights
from numlstm.text.stdlib import python_source

TEXT = python_source()[:6000]
TINY: dict[str, Any] = {"layers": "12,9", "batch_size": 4, "seq_len": 16, "sample_length": 20}
ENDED = ("stopped", "done", "failed")

Json = dict[str, Any]


class Client:
    """Asks a server, and expects what a test expects."""

    def __init__(self, url: str = "", http: httpx.Client | None = None) -> None:
        self.http = http or httpx.Client(base_url=url, timeout=60)

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
        """Make a job of the tiny kind and return its id."""
        text = TEXT if corpus is None and text is None else text
        wanted = {"model": model, "corpus": corpus, "text": text, "options": {**TINY, **options}}
        job = self.ask("POST", "/v1/jobs", 201, json=wanted)
        assert job["state"] == "waiting"
        return str(job["id"])

    def job(self, id_: str) -> Json:
        return self.ask("GET", f"/v1/jobs/{id_}")

    def until(self, id_: str, when: Callable[[Json], bool], seconds: float = 90) -> Json:
        """Return the job as soon as it is as wanted."""
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


def train(folder: Path, output: str, *words: str, **options: Any) -> Path:
    """Train what a job of the same options trains, on the command line."""
    (folder / "the.txt").write_text(TEXT, encoding="utf-8", newline="")
    given = {**TINY, "device": "reference", **options}
    command = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    where = ["the.txt", "-o", output] if not words else list(words)
    done = subprocess.run(
        [sys.executable, "-m", "numlstm", "train", *where, *command], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / output


def contents(path: Path) -> tuple[Any, ...]:
    """All that a run came to; how long it took, where its text was and by which command are each run's own."""
    file = weights.load(path)
    assert file.state is not None
    state = file.state
    arrays = (file.params, state.params, *state.slots.values(), *state.h, *state.c)
    own = ("seconds", "commands", "corpus")
    record = {name: value for name, value in state.record.items() if name not in own}
    digest = state.record["corpus"]["digest"]
    return (*(array.tobytes() for array in arrays), record, digest, state.step, state.config)
