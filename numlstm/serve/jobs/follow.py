"""What happens in a job, as it happens: its log from any place on, and its state whenever that changes.

Knows nothing about how a job is run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from ...monitoring import run_log
from ..http.refusal import Refusal
from ..http.server_sent_events import event
from .job_list import Jobs
from .log_tail import Tail

_PAUSE = 0.3  # seconds between two looks at the log
_ALIVE = 15.0  # seconds after which something is sent even if nothing happens


async def follow(jobs: Jobs, id_: str, after: int) -> AsyncGenerator[bytes, None]:
    """Yield the events of a job's log after that of the id `after`, and its state, until it or the server ends.

    The id of an event is the place in the log where it ends. The state of a job that goes on comes first, that of one
    that is over last, after all events: there the stream ends.
    """
    tail = Tail(jobs.running.folder(jobs.get(id_)) / "run.jsonl", after)
    told: dict[str, Any] = {}
    sent = time.monotonic()
    while not jobs.running.closing:
        try:
            over, state = jobs.get(id_).over, jobs.describe(jobs.get(id_))
        except Refusal:  # it was deleted
            return
        if not over and _changed(told, state):
            told, sent = state, time.monotonic()
            yield event(state, event="state")
        while lines := tail.lines():
            yield b"".join(_told(position, line) for position, line in lines)
            sent = time.monotonic()
            await asyncio.sleep(0)  # others' turn: a log may be long
        if over:
            yield event(state, event="state")
            return
        if time.monotonic() - sent > _ALIVE:
            sent = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(_PAUSE)


def _told(position: int, line: bytes) -> bytes:
    found = run_log.parsed(line)
    return b"" if found is None else event(found, id=position, event=found["event"])


def _changed(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether there is more to tell of than the numbers, which the log's events tell."""
    names = ("state", "place", "options", "started", "error")
    return not before or any(before[name] != now[name] for name in names)
