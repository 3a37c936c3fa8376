"""Streams a job's events: its log from any position on, and its state whenever that changes."""

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

_PAUSE = 0.3  # seconds between reads of the log
_ALIVE = 15.0  # seconds without an event after which a keep-alive comment is sent


async def follow(jobs: Jobs, id_: str, after: int) -> AsyncGenerator[bytes, None]:
    """Yield the events of a job's log after the one with id `after`, and its state, until the job or the server ends.

    An event's id is the byte position in the log where it ends. The state of a live job comes first; the state of a
    finished one comes last, after all events, and ends the stream.
    """
    tail = Tail(jobs.running.folder(jobs.get(id_)) / "run.jsonl", after)
    last_state: dict[str, Any] = {}
    sent = time.monotonic()
    while not jobs.running.closing:
        try:
            over, state = jobs.get(id_).over, jobs.describe(jobs.get(id_))
        except Refusal:  # it was deleted
            return
        if not over and _changed(last_state, state):
            last_state, sent = state, time.monotonic()
            yield event(state, event="state")
        while lines := tail.lines():
            yield b"".join(_log_event(position, line) for position, line in lines)
            sent = time.monotonic()
            await asyncio.sleep(0)  # let other tasks run: a log may be long
        if over:
            yield event(state, event="state")
            return
        if time.monotonic() - sent > _ALIVE:
            sent = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(_PAUSE)


def _log_event(position: int, line: bytes) -> bytes:
    found = run_log.parse_event(line)
    return b"" if found is None else event(found, id=position, event=found["event"])


def _changed(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return True if more than the numbers changed: the log's events carry those."""
    names = ("state", "place", "options", "started", "error")
    return not before or any(before[name] != now[name] for name in names)
