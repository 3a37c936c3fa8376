"""One training job: its request, its state and progress, and the files in its folder.

    job.json     the `Job`, written atomically
    text.txt     the text, if it was sent with the request
    run.jsonl    the run's log (`monitoring/run_log.py`)
    errors.txt   what the run printed
    lock         held while a process works on the job

A folder without job.json is incomplete; a server deletes it at its start.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from ...storage import atomic
from .options import Value

State = Literal["waiting", "running", "stopping", "stopped", "done", "failed"]
STATES: tuple[State, ...] = get_args(State)
FINAL = frozenset({"stopped", "done", "failed"})

Stamp = list[int]  # identifies one version of a file


@dataclasses.dataclass
class Progress:
    """A run's progress, from the events in its log up to byte `read`. Losses are in nats per token."""

    read: int = 0
    step: int | None = None
    steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    val_loss: float | None = None
    best_loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    reason: str | None = None  # why the run ended; None while it runs
    began_at: float = 0.0
    began_from: int = 0  # the step

    def take_(self, event: Mapping[str, Any]) -> None:
        """Update from an event of the log."""
        kind, self.step = event["event"], event["step"]
        if kind == "start":
            self.steps, self.epochs, self.reason = event.get("steps"), event.get("epochs"), None
            self.began_at, self.began_from = event.get("time", 0.0), event["step"]
        elif kind == "step":
            self.epoch, self.loss = event.get("epoch"), event.get("loss")
            self.tokens_per_second = event.get("tokens_per_second")
            self.seconds_left = self._left(event)
        elif kind == "epoch":
            self.epoch, self.val_loss = event.get("epoch"), event.get("val_loss")
            self.best_loss = self.val_loss if event.get("best") else self.best_loss
        elif kind == "end":
            self.reason, self.best_loss = event.get("reason"), event.get("best_loss")

    def _left(self, event: Mapping[str, Any]) -> float | None:
        """Return the seconds left at the average pace since the start, including everything between the steps."""
        step: int = event["step"]
        taken: float = event.get("time", self.began_at) - self.began_at
        if self.steps is None or step <= self.began_from:
            return None
        return max(0.0, taken / (step - self.began_from) * (self.steps - step))


@dataclasses.dataclass
class Job:
    """A job. Times are in seconds since 1970; `queued` is when it was queued, which orders the queue.

    `replaced` identifies the model file of this name that existed when the job first ran. Any other file is the job's.
    """

    id: str
    model: str
    corpus: str | None  # None: the text came with the request
    options: dict[str, Value]
    overwrite: bool
    created: float
    queued: float
    state: State = "waiting"
    started: float | None = None
    ended: float | None = None
    error: str | None = None
    replaced: Stamp | None = None
    progress: Progress = dataclasses.field(default_factory=Progress)

    def begin_(self) -> None:
        """Mark the job as running, for the first time or again."""
        self.state = "running"
        self.progress.reason = self.progress.seconds_left = None

    @property
    def over(self) -> bool:
        """True if the job is stopped, done or failed."""
        return self.state in FINAL

    def to_json(self, place: int | None) -> dict[str, Any]:
        """Return the API's description of the job; `place` is its place in the queue."""
        known = ("step", "steps", "epoch", "epochs", "loss", "val_loss", "best_loss", "tokens_per_second")
        moving = self.state in ("running", "stopping")
        return {
            "id": self.id,
            "object": "training.job",
            "model": self.model,
            "corpus": self.corpus,
            "options": self.options,
            "state": self.state,
            "created": int(self.created),
            "started": None if self.started is None else int(self.started),
            "ended": None if self.ended is None else int(self.ended),
            "error": self.error,
            "place": place,
            **{name: getattr(self.progress, name) for name in known},
            "seconds_left": self.progress.seconds_left if moving else None,
        }


def save(folder: Path, job: Job) -> None:
    """Write the job into its folder. Raises `StorageError`, caused by an `OSError`, if that fails."""
    with atomic.atomic_write(folder / "job.json") as file:
        file.write(json.dumps(dataclasses.asdict(job), indent=1).encode())


def load(folder: Path) -> Job | None:
    """Return the job in a folder, or None if it cannot be read."""
    try:
        found = json.loads((folder / "job.json").read_bytes())
        job = Job(**{**found, "progress": Progress(**found["progress"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return job if job.id == folder.name else None


def stamp(path: Path) -> Stamp | None:
    """Return an identifier of the current version of a file, or None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]
