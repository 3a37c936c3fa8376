"""The training jobs of a server: made, queued, stopped, gone on with and deleted.

Each is a folder jobs/ID (see `job.py`), and its weights go to NAME.npz in the folder of models. What is asked for is
checked and noted here; `running.py` runs one job after the other. Knows nothing about HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ...errors import StorageError
from ...network import shipped
from ...settings.declaration import Setting
from ...storage.temporary import remove_abandoned
from ..http.refusal import Refusal
from ..server_settings import Settings
from ..stores import names
from ..stores.corpora import Corpora, no_room
from . import job as files
from . import lock
from .job import Job
from .options import Value, checked, job_settings
from .runner import Running, remove

_LOG = logging.getLogger(__name__)
_PATIENCE = 60.0  # seconds that a job which is to be deleted may take to save


class Models(Protocol):
    """What is needed of the models in the folder."""

    def delete(self, name: str) -> None:
        """Remove a model; raises `Refusal` if it cannot be."""


class Jobs:
    """The jobs in a folder. Everything is called from one event loop; `start` and `close` frame the rest."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.settings, self.models, self.options = settings, models, job_settings()
        self.corpora = Corpora(settings)
        self.running = Running(settings)
        self._one_by_one = asyncio.Lock()

    async def start(self) -> None:
        """Find the jobs of the folder, and go on with those that were running or waiting when the server ended."""
        await asyncio.to_thread(self.running.find)
        if self.settings.train and self.running.jobs:
            try:
                await self.running.claim()
            except Refusal as refusal:  # texts can be written all the same
                _LOG.error("no job is gone on with: %s", refusal.message)

    async def close(self) -> None:
        """Let the running job save; it goes on at the next start."""
        await self.running.close()

    def all(self) -> list[Job]:
        """Return the jobs, newest first."""
        return sorted(self.running.jobs.values(), key=lambda job: job.created, reverse=True)

    def get(self, id_: str) -> Job:
        """Return a job; raises `Refusal` (404) if there is none."""
        found = self.running.jobs.get(id_)
        if found is None:
            raise Refusal(404, f"no job is called {id_!r:.80}; GET /v1/jobs lists them", "job_not_found", param="id")
        return found

    def place(self, job: Job) -> int | None:
        """Return the place of a waiting job in the queue, from 1; None if it does not wait."""
        queue = self.running.queue()
        return queue.index(job) + 1 if job in queue else None

    def describe(self, job: Job) -> dict[str, Any]:
        """Return what clients are told of a job."""
        return job.to_json(self.place(job))

    def count(self) -> dict[str, int]:
        """Return how many jobs there are in each state."""
        return Counter(job.state for job in self.all())  # a copy: who asks is in a thread of its own

    def writing_to(self, model: str) -> Job | None:
        """Return the job that is not over and whose weights go to that model, if there is one."""
        return next((job for job in self._of(model) if not job.over), None)

    def needing(self, corpus: str) -> Job | None:
        """Return a job that is not done and reads that text, if there is one."""
        reading = [job for job in self.all() if job.corpus is not None and job.state != "done"]
        return next((job for job in reading if str(job.corpus).casefold() == corpus.casefold()), None)

    async def create(
        self, model: str, corpus: str | None, text: str | None, options: Mapping[str, Value], *, overwrite: bool
    ) -> Job:
        """Make a job that waits for its turn; raises `Refusal` (400, 403, 404, 409, 429, 507) if that cannot be."""
        self.check_allowed()
        model, given = names.checked(model, "model"), checked(self.options, options)
        if (corpus is None) == (text is None) or text == "":
            raise Refusal(400, "expected either corpus, the name of a text, or text, which is not empty", "no_text")
        _check_length(given)
        corpus = None if corpus is None else self.corpora.checked(corpus)
        await self.running.claim()
        async with self._one_by_one:
            self._check_free(model, overwrite=overwrite)
            if len(self.running.jobs) >= self.settings.max_jobs:
                raise Refusal(
                    429,
                    f"there are {self.settings.max_jobs} jobs, the most there may be; delete one",
                    "too_many_jobs",
                    retry_after=60,
                )
            id_, place = f"job-{secrets.token_hex(8)}", self.running.last_place()
            job = Job(id_, model, corpus, given, overwrite, created=place, queued=place)
            await self._keep(job, text)
        return job

    async def stop(self, id_: str) -> Job:
        """Stop a job, which saves first if it runs; one that is over stays as it is. Raises `Refusal`."""
        job = await self._to_change(id_)
        await self.running.stop(job)
        return job

    async def resume(self, id_: str, changes: Mapping[str, Value | None]) -> Job:
        """Let a job that is over go on, with changed options; None takes one away. Raises `Refusal` (409) if it cannot.

        From the last save or, if nothing was saved, from the start.
        """
        job = await self._to_change(id_)
        new = checked(self.options, {name: value for name, value in changes.items() if value is not None})
        async with self._one_by_one:
            job = self.get(id_)  # another request may have removed it
            self._check_can_go_on(job)
            options = _changed(job.options, new, [name for name, value in changes.items() if value is None])
            if self.running.has_saved(job):
                _check_fixed(self.options, job, options)
            job.options, job.queued = options, self.running.last_place()
            await self.running.wait(job)
        return job

    async def delete(self, id_: str, *, model: bool) -> None:
        """Remove a job, which stops it, and its model if that is asked for; raises `Refusal` (403, 404, 409)."""
        job = await self._to_change(id_)
        self._check_alone(job, model)
        await self.running.stop(job, at_once=model)
        if not await self._quiet(job):  # not under the lock, for others need not wait as long
            raise Refusal(409, "the job is still saving; try again in a minute", "job_running")
        async with self._one_by_one:
            self.get(id_)  # another request may have removed it, or let it go on
            if not job.over:
                raise Refusal(409, f"the job is {job.state} again; stop it first", "job_running")
            self._check_alone(job, model)
            await self.running.remove(job)
            if model:
                await self._delete_model(job)

    def _check_alone(self, job: Job, model: bool) -> None:
        """Raise `Refusal` (409) if a model that is to be deleted with its job is another job's too."""
        others = [other for other in self._of(job.model) if other is not job]
        if model and others:
            raise Refusal(409, f"the job {others[0].id} has the model {job.model} too; delete that first", "in_use")

    async def _delete_model(self, job: Job) -> None:
        await asyncio.to_thread(remove_abandoned, self.running.output(job.model))  # what a process that was killed left
        if self.running.has_saved(job):
            self.models.delete(job.model)

    def check_allowed(self) -> None:
        """Raise `Refusal` (403) if nothing may be changed on this server."""
        if not self.settings.train:
            raise Refusal(403, "this server trains nothing: it was started with --no-train", "training_off")

    async def _to_change(self, id_: str) -> Job:
        self.check_allowed()
        self.get(id_)
        await self.running.claim()
        return self.get(id_)  # another server may have removed it

    def check_not_needed(self, corpus: str) -> None:
        """Raise `Refusal` (409) if a job needs a text."""
        job = self.needing(corpus)
        if job is not None:
            raise Refusal(409, f"the job {job.id} needs the text {corpus}; delete that first", "corpus_in_use")

    def _of(self, model: str) -> list[Job]:
        """Return the jobs of a model, which some file systems know by other letters too."""
        return [job for job in self.all() if job.model.casefold() == model.casefold()]

    def _check_free(self, model: str, *, overwrite: bool) -> None:
        other = self.writing_to(model)
        if other is not None:
            raise Refusal(
                409, f"the job {other.id} writes the model {model}; choose another name", "model_busy", param="model"
            )
        if model in shipped.models():
            raise Refusal(
                409, f"{model} is a model that comes with numlstm; choose another name", "model_exists", param="model"
            )
        if not overwrite and self.running.output(model).exists():
            raise Refusal(
                409,
                f"there is a model {model}; choose another name, or send overwrite: true to replace it",
                "model_exists",
                param="model",
            )

    def _check_can_go_on(self, job: Job) -> None:
        if not job.over:
            raise Refusal(409, f"the job is {job.state}; stop it first", "job_running")
        later = [other for other in self._of(job.model) if other.queued > job.queued and self.running.has_saved(other)]
        later += [other for other in self._of(job.model) if not other.over]
        if later:
            raise Refusal(409, f"the model {job.model} is by now that of the job {later[0].id}", "model_busy")
        if job.state == "done" and not self.running.output(job.model).exists():
            raise Refusal(409, f"the model {job.model} is gone; begin another job", "model_gone")
        if job.corpus is not None:
            self.corpora.checked(job.corpus)

    async def _keep(self, job: Job, text: str | None) -> None:
        folder = self.running.folder(job)
        try:
            await asyncio.to_thread(_make, folder, job, text)
        except (OSError, StorageError) as error:
            await asyncio.to_thread(remove, folder)
            raise no_room(error, "the job") from error
        self.running.add(job)

    async def _quiet(self, job: Job) -> bool:
        """Wait until nobody works on a job, not even a process that an earlier server left; return whether it is so."""
        until = time.monotonic() + _PATIENCE
        path = self.running.folder(job) / "lock"
        while not (job.over and lock.is_free(path)):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.05)
        return True


def _check_length(given: Mapping[str, Value]) -> None:
    if "epochs" in given and "steps" in given:
        raise Refusal(400, "both epochs and steps were given; expected one of them", "invalid_option", param="options")


def _changed(options: Mapping[str, Value], new: Mapping[str, Value], gone: Iterable[str]) -> dict[str, Value]:
    """Return options with others in their place; of epochs and steps one replaces the other."""
    _check_length(new)
    instead = {"epochs": "steps", "steps": "epochs"}
    left = {name: value for name, value in options.items() if name not in gone and instead.get(name) not in new}
    return {**left, **new}


def _check_fixed(known: Iterable[Setting], job: Job, options: Mapping[str, Value]) -> None:
    for name in (option.name for option in known if option.fixed):
        if options.get(name, False) != job.options.get(name, False):
            raise Refusal(
                400,
                f"the option {name} cannot change in a run that goes on; begin another job",
                "option_fixed",
                param=f"options.{name}",
            )


def _make(folder: Path, job: Job, text: str | None) -> None:
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "text.txt").write_bytes(text.encode("utf-8"))
    files.save(folder, job)  # last: a folder without it is what a server left that was killed here
