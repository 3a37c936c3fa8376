"""The training jobs of a server: create, queue, stop, resume and delete them.

A job is a folder jobs/ID (see `job.py`), and its weights go to NAME.npz in the models folder. This module validates
and records requests; `runner.py` runs the jobs, one at a time.
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
from .runner import JobRunner, remove

_LOG = logging.getLogger(__name__)
_PATIENCE = 60.0  # seconds to wait for a job to stop before it is deleted


class Models(Protocol):
    """The methods that jobs need of the models in the folder."""

    def delete(self, name: str) -> None:
        """Delete a model. Raises `Refusal` if it cannot be deleted."""


class Jobs:
    """The jobs in a folder. Call all methods from one event loop: `start` first, `close` last."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.settings, self.models, self.options = settings, models, job_settings()
        self.corpora = Corpora(settings)
        self.running = JobRunner(settings)
        self._one_by_one = asyncio.Lock()

    async def start(self) -> None:
        """Read the jobs in the folder, and resume those that were running or waiting when the last server ended."""
        await asyncio.to_thread(self.running.find)
        if self.settings.train and self.running.jobs:
            try:
                await self.running.claim()
            except Refusal as refusal:  # the server can still write texts
                _LOG.error("could not resume jobs: %s", refusal.message)

    async def close(self) -> None:
        """Stop the running job after it saves. It resumes at the next start."""
        await self.running.close()

    def all(self) -> list[Job]:
        """Return the jobs, newest first."""
        return sorted(self.running.jobs.values(), key=lambda job: job.created, reverse=True)

    def get(self, id_: str) -> Job:
        """Return a job. Raises `Refusal` (404) if there is none."""
        found = self.running.jobs.get(id_)
        if found is None:
            raise Refusal(404, f"no job is called {id_!r:.80}; GET /v1/jobs lists them", "job_not_found", param="id")
        return found

    def place(self, job: Job) -> int | None:
        """Return the place of a job in the queue, from 1, or None if it is not waiting."""
        queue = self.running.queue()
        return queue.index(job) + 1 if job in queue else None

    def describe(self, job: Job) -> dict[str, Any]:
        """Return the API's description of a job."""
        return job.to_json(self.place(job))

    def count(self) -> dict[str, int]:
        """Return the number of jobs in each state."""
        return Counter(job.state for job in self.all())  # `all` copies: the caller is in another thread

    def writing_to(self, model: str) -> Job | None:
        """Return the unfinished job that writes this model, or None."""
        return next((job for job in self._of(model) if not job.over), None)

    def needing(self, corpus: str) -> Job | None:
        """Return a job that reads this corpus and is not done, or None."""
        reading = [job for job in self.all() if job.corpus is not None and job.state != "done"]
        return next((job for job in reading if str(job.corpus).casefold() == corpus.casefold()), None)

    async def create(
        self, model: str, corpus: str | None, text: str | None, options: Mapping[str, Value], *, overwrite: bool
    ) -> Job:
        """Create a job and queue it. Raises `Refusal` (400, 403, 404, 409, 429, 507) if it cannot be created."""
        self.check_allowed()
        model, given = names.checked(model, "model"), checked(self.options, options)
        if (corpus is None) == (text is None) or text == "":
            raise Refusal(400, "expected either corpus, the name of a corpus, or text, which is not empty", "no_text")
        _check_length(given)
        corpus = None if corpus is None else self.corpora.checked(corpus)
        await self.running.claim()
        async with self._one_by_one:
            self._check_free(model, overwrite=overwrite)
            if len(self.running.jobs) >= self.settings.max_jobs:
                raise Refusal(
                    429,
                    f"there are {self.settings.max_jobs} jobs, the most allowed; delete one",
                    "too_many_jobs",
                    retry_after=60,
                )
            id_, place = f"job-{secrets.token_hex(8)}", self.running.last_place()
            job = Job(id_, model, corpus, given, overwrite, created=place, queued=place)
            await self._keep(job, text)
        return job

    async def stop(self, id_: str) -> Job:
        """Stop a job. A running one saves first, a finished one is unchanged. Raises `Refusal` (403, 404, 409)."""
        job = await self._to_change(id_)
        await self.running.stop(job)
        return job

    async def resume(self, id_: str, changes: Mapping[str, Value | None]) -> Job:
        """Resume a finished job with changed options; None removes one. Raises `Refusal` (409) if it cannot resume.

        It continues from its last checkpoint or, if there is none, from the start.
        """
        job = await self._to_change(id_)
        new = checked(self.options, {name: value for name, value in changes.items() if value is not None})
        async with self._one_by_one:
            job = self.get(id_)  # another request may have deleted it
            self._check_can_go_on(job)
            options = _changed(job.options, new, [name for name, value in changes.items() if value is None])
            if self.running.has_saved(job):
                _check_fixed(self.options, job, options)
            job.options, job.queued = options, self.running.last_place()
            await self.running.wait(job)
        return job

    async def delete(self, id_: str, *, model: bool) -> None:
        """Stop and delete a job, and its model if `model` is true. Raises `Refusal` (403, 404, 409)."""
        job = await self._to_change(id_)
        self._check_alone(job, model)
        await self.running.stop(job, at_once=model)
        if not await self._quiet(job):  # not under the lock, or other requests would wait too
            raise Refusal(409, "the job is still saving; try again in a minute", "job_running")
        async with self._one_by_one:
            self.get(id_)  # another request may have deleted or resumed it
            if not job.over:
                raise Refusal(409, f"the job is {job.state} again; stop it first", "job_running")
            self._check_alone(job, model)
            await self.running.remove(job)
            if model:
                await self._delete_model(job)

    def _check_alone(self, job: Job, model: bool) -> None:
        """Raise `Refusal` (409) if the model is to be deleted too, but another job also uses it."""
        others = [other for other in self._of(job.model) if other is not job]
        if model and others:
            raise Refusal(409, f"the job {others[0].id} shares the model {job.model}; delete that job first", "in_use")

    async def _delete_model(self, job: Job) -> None:
        await asyncio.to_thread(remove_abandoned, self.running.output(job.model))  # left by a killed process
        if self.running.has_saved(job):
            self.models.delete(job.model)

    def check_allowed(self) -> None:
        """Raise `Refusal` (403) if the server is read-only."""
        if not self.settings.train:
            raise Refusal(403, "this server does not train: it was started with --no-train", "training_off")

    async def _to_change(self, id_: str) -> Job:
        self.check_allowed()
        self.get(id_)
        await self.running.claim()
        return self.get(id_)  # another server may have deleted it

    def check_not_needed(self, corpus: str) -> None:
        """Raise `Refusal` (409) if a job needs this corpus."""
        job = self.needing(corpus)
        if job is not None:
            raise Refusal(409, f"the job {job.id} needs the corpus {corpus}; delete that job first", "corpus_in_use")

    def _of(self, model: str) -> list[Job]:
        """Return the jobs of a model, ignoring case as some file systems do."""
        return [job for job in self.all() if job.model.casefold() == model.casefold()]

    def _check_free(self, model: str, *, overwrite: bool) -> None:
        other = self.writing_to(model)
        if other is not None:
            raise Refusal(
                409, f"the job {other.id} writes the model {model}; choose another name", "model_busy", param="model"
            )
        if model in shipped.models():
            raise Refusal(
                409, f"the model {model} ships with numlstm; choose another name", "model_exists", param="model"
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
            raise Refusal(409, f"the model {job.model} now belongs to the job {later[0].id}", "model_busy")
        if job.state == "done" and not self.running.output(job.model).exists():
            raise Refusal(409, f"the model {job.model} is gone; create a new job", "model_gone")
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
        """Wait until no process works on a job, not even one left by an earlier server. Return False on a timeout."""
        until = time.monotonic() + _PATIENCE
        path = self.running.folder(job) / "lock"
        while not (job.over and lock.is_free(path)):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.05)
        return True


def _check_length(given: Mapping[str, Value]) -> None:
    if "epochs" in given and "steps" in given:
        raise Refusal(400, "give either epochs or steps, not both", "invalid_option", param="options")


def _changed(options: Mapping[str, Value], new: Mapping[str, Value], gone: Iterable[str]) -> dict[str, Value]:
    """Return the options without those in `gone`, updated with `new`. Of epochs and steps, one replaces the other."""
    _check_length(new)
    instead = {"epochs": "steps", "steps": "epochs"}
    left = {name: value for name, value in options.items() if name not in gone and instead.get(name) not in new}
    return {**left, **new}


def _check_fixed(known: Iterable[Setting], job: Job, options: Mapping[str, Value]) -> None:
    for name in (option.name for option in known if option.fixed):
        if options.get(name, False) != job.options.get(name, False):
            raise Refusal(
                400,
                f"the option {name} cannot change when a job resumes; create a new job",
                "option_fixed",
                param=f"options.{name}",
            )


def _make(folder: Path, job: Job, text: str | None) -> None:
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "text.txt").write_bytes(text.encode("utf-8"))
    files.save(folder, job)  # last: a folder without it is incomplete, left by a killed server
