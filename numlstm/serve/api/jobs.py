"""Training over HTTP: jobs are made, followed, stopped, gone on with and deleted.

Knows nothing about how a job is run.
"""

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
    "description": "Server-sent events: start, step, epoch, sample, gates and end, as they are in the run's log, each "
    "with an id; and state, with the job as data.",
}
_MOST = 2**53


def router(jobs: Jobs) -> APIRouter:
    """Return the routes of training jobs."""
    routes = APIRouter(prefix="/v1", tags=["training"])
    _add_looking(routes, jobs)
    _add_changing(routes, jobs)
    return routes


def _add_looking(routes: APIRouter, jobs: Jobs) -> None:
    @routes.get("/train/options", response_model=OptionList, responses=refusals())
    async def list_options() -> dict[str, Any]:
        """List the options of training, in groups, with what each is where it is not given."""
        return {"object": "list", "data": [described(setting) for setting in jobs.options]}

    @routes.get("/jobs", response_model=JobList, responses=refusals())
    async def list_jobs() -> dict[str, Any]:
        """List the jobs, the newest first."""
        return {"object": "list", "data": [jobs.describe(job) for job in jobs.all()]}

    @routes.get("/jobs/{id}", response_model=JobAnswer, responses=refusals(404))
    async def get_job(id: Id) -> dict[str, Any]:
        """Tell how a job is."""
        return jobs.describe(jobs.get(id))

    @routes.get("/jobs/{id}/events", response_class=StreamingResponse, responses={**refusals(404), 200: _EVENTS})
    async def follow_job(
        id: Id,
        after: Annotated[int, Query(ge=0, le=_MOST, description="The id of the last event that is known.")] = 0,
        last: Annotated[
            int | None, Header(alias="Last-Event-ID", ge=0, le=_MOST, description="The same; this one counts.")
        ] = None,
    ) -> Response:
        """Follow a job: what is in its log, from the beginning or after an event, and what happens from then on.

        Ends when the job is over. An event `start` at a step takes the place of all that an earlier run did after it.
        """
        jobs.get(id)
        return Events(follow(jobs, id, after if last is None else last))


def _add_changing(routes: APIRouter, jobs: Jobs) -> None:
    @routes.post("/jobs", status_code=201, response_model=JobAnswer, responses=refusals(404, 409, 507))
    async def create_job(new: NewJob) -> dict[str, Any]:
        """Train a model on a text. One job runs at a time, and others wait in the order in which they came."""
        job = await jobs.create(new.model, new.corpus, new.text, new.options, overwrite=new.overwrite)
        return jobs.describe(job)

    @routes.post("/jobs/{id}/stop", response_model=JobAnswer, responses=refusals(404, 409))
    async def stop_job(id: Id) -> dict[str, Any]:
        """Stop a job after the step under way. It saves, and can go on later."""
        return jobs.describe(await jobs.stop(id))

    @routes.post("/jobs/{id}/resume", response_model=JobAnswer, responses=refusals(404, 409))
    async def resume_job(id: Id, how: Resumption | None = None) -> dict[str, Any]:
        """Go on with a job that was stopped, failed or is done, with other options perhaps; more epochs, for example.

        It goes on from its last save or, if there is none, from the start.
        """
        return jobs.describe(await jobs.resume(id, how.options if how else {}))

    @routes.delete("/jobs/{id}", response_model=JobDeleted, responses=refusals(404, 409))
    async def delete_job(
        id: Id, model: Annotated[bool, Query(description="Delete the model that it made too.")] = False
    ) -> dict[str, Any]:
        """Delete a job, with its log. If it runs it is stopped first."""
        await jobs.delete(id, model=model)
        return {"id": id, "object": "training.job", "deleted": True}
