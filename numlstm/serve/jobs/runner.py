"""Runs training jobs one at a time, each in a worker process, and resumes them after a restart.

A job whose process was stopped from outside, or whose server ended, is queued again and resumes from its last
checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ...errors import StorageError
from ...monitoring import run_log
from ...settings.run import RunSettings
from ...storage.cache_folder import folder as cache_folder
from ...text.sources.catalog import corpus_names
from ..http.refusal import Refusal
from ..server_settings import Settings
from ..stores.corpora import no_room
from . import job as files
from . import lock
from .job import Job, Progress
from .log_tail import Tail
from .process import Order, Process

WORKER = (sys.executable, "-m", "numlstm.serve.jobs.worker")  # starts a worker process

_LOG = logging.getLogger(__name__)
_PAUSE = 0.1  # seconds between checks of a process
_AGAIN = 2.0  # seconds before resuming a job that was stopped from outside: the server may be about to stop too
_FAREWELL = 15.0  # seconds that a stopping server waits for a job to save; the job also saves on its own
_STOPPED = frozenset({130, -2, -15})  # exit codes: the worker's own, and SIGINT and SIGTERM before it handles them


class JobRunner:
    """The jobs in a folder, and the one that is running. `command` starts a worker process."""

    command: Sequence[str] = WORKER

    def __init__(self, settings: Settings) -> None:
        self.models, self.device, self.threads = settings.models.absolute(), settings.device, settings.threads
        self.top = self.models / "jobs"
        self.jobs: dict[str, Job] = {}
        self.process: Process | None = None
        self._wake, self._saving, self._claiming = asyncio.Event(), asyncio.Lock(), asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._lock: IO[bytes] | None = None
        self.closing = False

    def find(self) -> None:
        """Read the jobs in the folder. A job that was running is first in the queue. Incomplete folders are removed."""
        self.jobs = {}
        for folder in sorted(self.top.glob("job-*")):
            job = files.load(folder)
            if job is not None:
                _after_restart_(job, folder)
                self.jobs[job.id] = job
            elif not (folder / "job.json").exists():
                shutil.rmtree(folder, ignore_errors=True)  # a server was killed while creating or deleting the job
            else:
                _LOG.error("cannot read the job in %s", folder)

    async def claim(self) -> None:
        """Take the folder's lock and start running its jobs. Raises `Refusal` if another server has the lock."""
        async with self._claiming:
            if self._lock is not None:
                return
            self._lock = self._locked()
            await asyncio.to_thread(self.find)  # another server may have changed them since
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop the running job, wait a few seconds for it to save, and start no more."""
        self.closing = True
        if self.process is not None:
            self.process.stop()
        if self._task is not None:
            self._wake.set()
            await asyncio.wait([self._task], timeout=_FAREWELL)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._lock is not None:
            self._lock.close()

    def _locked(self) -> IO[bytes]:
        try:
            self.top.mkdir(parents=True, exist_ok=True)
            found = lock.taken(self.top / "lock")
        except OSError as error:
            raise no_room(error, "the job") from error
        if found is None:
            raise Refusal(409, "another server runs the jobs in this folder; use that server", "folder_busy")
        return found

    def folder(self, job: Job) -> Path:
        """Return the folder of a job."""
        return self.top / job.id

    def output(self, model: str) -> Path:
        """Return the path of a model's weights file."""
        return self.models / f"{model}.npz"

    def has_saved(self, job: Job) -> bool:
        """Return True if the model file under the job's name was written by this job."""
        found = files.stamp(self.output(job.model))
        return job.started is not None and found is not None and found != job.replaced

    def queue(self) -> list[Job]:
        """Return the waiting jobs in the order they were queued."""
        return sorted((job for job in self.jobs.values() if job.state == "waiting"), key=lambda job: job.queued)

    def last_place(self) -> float:
        """Return a `queued` time that puts a job last in the queue, even if the clock was set back."""
        return max([time.time(), *(job.queued + 1e-3 for job in self.jobs.values())])

    def add(self, job: Job) -> None:
        """Add a waiting job, already saved in its folder, to the queue."""
        self.jobs[job.id] = job
        self._wake.set()

    async def wait(self, job: Job) -> None:
        """Put a finished job back into the queue."""
        job.state, job.error, job.ended = "waiting", None, None
        await self._save(job)
        self._wake.set()

    async def stop(self, job: Job, *, at_once: bool = False) -> None:
        """Stop a job. A running one saves first, unless `at_once`; a finished one is unchanged."""
        if job.state == "waiting":
            job.state, job.ended = "stopped", time.time()
        elif not job.over:
            job.state = "stopping"
            if self.process is not None:
                self.process.kill() if at_once else self.process.stop()
        await self._save(job)

    async def remove(self, job: Job) -> None:
        """Delete a finished job and its folder."""
        del self.jobs[job.id]
        async with self._saving:
            await asyncio.to_thread(remove, self.folder(job))

    async def _save(self, job: Job) -> None:
        """Save the job. A full disk is only logged: running jobs matter more."""
        async with self._saving:
            if job.id not in self.jobs:
                return
            try:
                await asyncio.to_thread(files.save, self.folder(job), job)
            except StorageError as error:
                _LOG.error("%s", error)

    async def _work(self) -> None:
        while not self.closing:
            waiting = self.queue()
            if not waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await self._run(waiting[0])
            except Exception as error:
                _LOG.exception("the job %s could not be run", waiting[0].id)
                self._over(waiting[0], "failed", no_room(error, "the training's output").message)
            await self._save(waiting[0])
            if waiting[0].state == "waiting" and not self.closing:
                await asyncio.sleep(_AGAIN)

    async def _run(self, job: Job) -> None:
        folder, output = self.folder(job), self.output(job.model)
        job.begin_()
        while not lock.is_free(folder / "lock"):  # a process of an earlier server is still saving
            if job.state == "stopping" or self.closing:
                self._over(job, "waiting" if self.closing else "stopped")
                return
            await asyncio.sleep(_PAUSE)
        saved = self.has_saved(job)
        if job.started is None:
            job.started, job.replaced = time.time(), files.stamp(output)
        await self._save(job)
        if job.state == "running" and not self.closing:
            command = (self.command, self.models, folder / "lock", folder / "errors.txt")
            self.process = await asyncio.to_thread(Process, *command, self._order(job, saved))
            await self._follow(job, self.process)
        else:
            self._over(job, "waiting" if self.closing else "stopped")

    def _order(self, job: Job, saved: bool) -> Order:
        """Return the order for a job's process. Output paths are relative to its folder, because files record them."""
        given: dict[str, Any] = {
            "sample_length": RunSettings.sample_length,
            "device": self.device,
            "threads": self.threads,
            **job.options,
            "output": f"{job.model}.npz",
            "overwrite": job.overwrite,
            "log": f"jobs/{job.id}/run.jsonl",
        }
        text = self._text(job)
        return {
            "settings": given,
            "resume": given["output"] if saved else None,
            "corpus": str(job.corpus) if text is None else "-",
            "text": None if text is None else str(text),
        }

    def _text(self, job: Job) -> Path | None:
        """Return the path of the text that a job reads, or None if it is a corpus of the catalogue."""
        if job.corpus is None:
            return self.folder(job) / "text.txt"
        return None if job.corpus in corpus_names() else self.models / "texts" / f"{job.corpus}.txt"

    async def _follow(self, job: Job, process: Process) -> None:
        folder = self.folder(job)
        try:
            if job.state == "stopping" or self.closing:  # asked while the process started
                process.stop()
            while process.ended() is None:
                await asyncio.to_thread(_read_on_, job.progress, folder)
                await asyncio.sleep(_PAUSE)
            await asyncio.to_thread(_read_on_, job.progress, folder)
        except BaseException:
            process.stop()
            raise
        finally:
            self.process = None
        self._judge(job, process.ended() or 0, process.close())

    def _judge(self, job: Job, code: int, error: Mapping[str, str] | None) -> None:
        """Set the state of a job from its process's exit code."""
        asked = job.state == "stopping"
        if code == 0:
            self._over(job, "stopped" if job.progress.reason == "stopped" else "done")
        elif code in _STOPPED or (asked and code < 0):
            self._over(job, "stopped" if asked else "waiting")
        elif code < 0 or not error:
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            self._over(job, "failed", f"the training process was ended {how}, perhaps because memory ran out")
        else:
            self._over(job, "failed", self._without_folders(error["message"]))

    def _over(self, job: Job, state: files.State, error: str | None = None) -> None:
        job.state, job.error = state, error
        job.ended = None if state == "waiting" else time.time()

    def _without_folders(self, line: str) -> str:
        """Return an error message without this machine's paths."""
        places = (self.models, cache_folder(), Path(tempfile.gettempdir()), Path(__file__).parents[3])
        for folder in places:
            line = line.replace(f"{folder}{os.sep}", "").replace(str(folder), "the server's folder")
        return line


def remove(folder: Path) -> None:
    """Delete a job's folder. If this is interrupted, `find` sees an incomplete folder and deletes the rest."""
    (folder / "job.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _after_restart_(job: Job, folder: Path) -> None:
    if job.state == "running":
        job.state = "waiting"  # first in the queue: it was queued before all others
    elif job.state == "stopping":
        job.state, job.ended = "stopped", time.time()
    else:
        return
    _read_on_(job.progress, folder)


def _read_on_(progress: Progress, folder: Path) -> None:
    """Update the progress from what was added to a job's log."""
    tail = Tail(folder / "run.jsonl", progress.read)
    while lines := tail.lines():
        for _, line in lines:
            event = run_log.parse_event(line)
            if event is not None:
                progress.take_(event)
    progress.read = tail.position
