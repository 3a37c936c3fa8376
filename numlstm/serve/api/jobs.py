"""Routes for training jobs: create, follow, stop, resume and delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response, StreamingResponse

from ..http.error_answers import refusals
from ..http.server_sent_events import Events
from ..jobs.follow import follow
from ..jobs.job_list import Jobs
from ..jobs.options import described
from .job_schemas import JobAnswer, JobDeleted, JobList, NewJob, OptionList, Resumption

Id = Annotated[str, Path(max_length=200, description="A job's id.")]

_EVENTS: dict[str, Any] = {
    "content": {"text/event-stream": {}},
    "description": "Server-sent events: start, step, epoch, sample, gates and end from the run's log, each with an id; "
    "and state, with the job as data.",
}
_MOST = 2**53


def router(jobs: Jobs) -> APIRouter:
    """Return the routes for training jobs."""
    routes = APIRouter(prefix="/v1", tags=["training"])
    _add_looking(routes, jobs)
    _add_changing(routes, jobs)
    return routes


def _add_looking(routes: APIRouter, jobs: Jobs) -> None:
    @routes.get("/train/options", response_model=OptionList, responses=refusals())
    async def list_options() -> dict[str, Any]:
        """List the training options, with their groups and defaults."""
        return {"object": "list", "data": [described(setting) for setting in jobs.options]}

    @routes.get("/jobs", response_model=JobList, responses=refusals())
    async def list_jobs() -> dict[str, Any]:
        """List the jobs, the newest first."""
        return {"object": "list", "data": [jobs.describe(job) for job in jobs.all()]}

    @routes.get("/jobs/{id}", response_model=JobAnswer, responses=refusals(404))
    async def get_job(id: Id) -> dict[str, Any]:
        """Describe a job."""
        return jobs.describe(jobs.get(id))

    @routes.get("/jobs/{id}/events", response_class=StreamingResponse, responses={**refusals(404), 200: _EVENTS})
    async def follow_job(
        id: Id,
        after: Annotated[int, Query(ge=0, le=_MOST, description="The id of the last event received.")] = 0,
        last: Annotated[
            int | None, Header(alias="Last-Event-ID", ge=0, le=_MOST, description="The same; overrides `after`.")
        ] = None,
    ) -> Response:
        """Stream a job's events: those in its log, from the beginning or after an event, then new ones as they happen.

        The stream ends with the job. A `start` event at a step replaces all events of earlier runs after that step.
        """
        jobs.get(id)
        return Events(follow(jobs, id, after if last is None else last))


def _add_changing(routes: APIRouter, jobs: Jobs) -> None:
    @routes.post("/jobs", status_code=201, response_model=JobAnswer, responses=refusals(404, 409, 507))
    async def create_job(new: NewJob) -> dict[str, Any]:
        """Create a job that trains a model on a text. Jobs run one at a time, in the order they were queued."""
        job = await jobs.create(new.model, new.corpus, new.text, new.options, overwrite=new.overwrite)
        return jobs.describe(job)

    @routes.post("/jobs/{id}/stop", response_model=JobAnswer, responses=refusals(404, 409))
    async def stop_job(id: Id) -> dict[str, Any]:
        """Stop a job after the current step. It saves a checkpoint and can be resumed later."""
        return jobs.describe(await jobs.stop(id))

    @routes.post("/jobs/{id}/resume", response_model=JobAnswer, responses=refusals(404, 409))
    async def resume_job(id: Id, how: Resumption | None = None) -> dict[str, Any]:
        """Resume a job that was stopped, failed or is done, optionally with changed options such as more epochs.

        It continues from its last checkpoint or, if there is none, from the start.
        """
        return jobs.describe(await jobs.resume(id, how.options if how else {}))

    @routes.delete("/jobs/{id}", response_model=JobDeleted, responses=refusals(404, 409))
    async def delete_job(
        id: Id, model: Annotated[bool, Query(description="Also delete the model it trained.")] = False
    ) -> dict[str, Any]:
        """Delete a job and its log. A running job is stopped first."""
        await jobs.delete(id, model=model)
        return {"id": id, "object": "training.job", "deleted": True}
