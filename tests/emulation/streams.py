"""Streams of an emulated device: queues of what was asked for, done only when somebody waits.

So whoever reads too early reads what was there before, and whoever writes too early to pinned memory changes what is
yet to be copied. Knows nothing about what is queued.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar


class Counts:
    """How often the host waited for the device, launched something there, and sent something there."""

    def __init__(self) -> None:
        self.synchronisations = self.launches = self.products = self.uploads = 0


class Stream:
    """Stands in for `cupy.cuda.Stream`. Streams know nothing of one another, as non-blocking ones do not."""

    counts: ClassVar[Counts] = Counts()
    current: ClassVar[Stream]
    null: ClassVar[Stream]
    device_id = 0

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        if ptds:
            raise NotImplementedError("per-thread default streams are not emulated")
        self._queue: deque[Callable[[], None]] = deque()
        self._done = self._before = 0
        self._outer: list[Stream] = []
        self.ptr = 0 if null else id(self)

    def __enter__(self) -> Stream:
        self._outer.append(Stream.current)
        Stream.current = self
        return self

    def __exit__(self, *_: object) -> None:
        Stream.current = self._outer.pop()

    def use(self) -> Stream:
        """Make this the current stream."""
        Stream.current = self
        return self

    def later(self, work: Callable[[], None]) -> int:
        """Queue some work; return its number."""
        self._queue.append(work)
        self._before += 1
        return self._before

    def until(self, number: int) -> None:
        """Do what is queued up to the work of that number."""
        while self._done < number:
            work = self._queue.popleft()
            self._done += 1
            work()

    def drain(self) -> None:
        """Do all that is queued."""
        self.until(self._before)

    def synchronize(self) -> None:
        """Wait for the stream."""
        Stream.counts.synchronisations += 1
        self.drain()

    def record(self, event: Event | None = None) -> Event:
        """Record an event, a new one unless one is given."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what is queued from now on wait for an event."""
        stream, number = event.place()
        self.later(lambda: stream.until(number))

    @property
    def done(self) -> bool:
        """Whether nothing is left to do. Asking takes time: some work is done meanwhile."""
        self.until(min(self._done + 1, self._before))
        return not self._queue


class Event:
    """Stands in for `cupy.cuda.Event`."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._stream: Stream | None = None
        self._number = 0
        self.reached = 0.0

    def record(self, stream: Stream | None = None) -> None:
        """Take the place in the stream, the current one unless one is given, that the event stands for."""
        self._stream = stream or Stream.current
        self._number = self._stream.later(lambda: setattr(self, "reached", time.perf_counter()))

    def place(self) -> tuple[Stream, int]:
        """Return the stream and the number of the work there; nothing to wait for if it was never recorded."""
        return self._stream or Stream.null, self._number if self._stream else 0

    def synchronize(self) -> None:
        """Wait for the event."""
        Stream.counts.synchronisations += 1
        stream, number = self.place()
        stream.until(number)

    @property
    def done(self) -> bool:
        """Whether the event was reached. Asking takes time: some work is done meanwhile."""
        stream, number = self.place()
        stream.until(min(stream._done + 1, number))
        return stream._done >= number


def get_elapsed_time(start: Event, end: Event) -> float:
    """Return the milliseconds between two events that were reached."""
    return (end.reached - start.reached) * 1000


def mark_stale() -> None:
    """Begin with empty streams and counts."""
    Stream.counts = Counts()
    Stream.null = Stream.current = Stream(null=True)
