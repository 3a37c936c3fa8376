"""Streams of an emulated device: queues of work that run only when the host waits.

Reading too early thus returns the old values, and writing to pinned memory too early changes data not yet copied.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar


class Counts:
    """How often the host synchronised with the device, launched, multiplied and uploaded."""

    def __init__(self) -> None:
        self.synchronisations = self.launches = self.products = self.uploads = 0


class Stream:
    """Stands in for `cupy.cuda.Stream`. Streams are independent of each other, like non-blocking ones."""

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
        """Queue work and return its number."""
        self._queue.append(work)
        self._before += 1
        return self._before

    def until(self, number: int) -> None:
        """Run the queued work up to and including this number."""
        while self._done < number:
            work = self._queue.popleft()
            self._done += 1
            work()

    def drain(self) -> None:
        """Run all queued work."""
        self.until(self._before)

    def synchronize(self) -> None:
        """Wait for the stream to finish its work."""
        Stream.counts.synchronisations += 1
        self.drain()

    def record(self, event: Event | None = None) -> Event:
        """Record an event, by default a new one, and return it."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Make work queued from now on wait for an event."""
        stream, number = event.place()
        self.later(lambda: stream.until(number))

    @property
    def done(self) -> bool:
        """True if no work is left. Each check runs one item of work, as time passes on a real device."""
        self.until(min(self._done + 1, self._before))
        return not self._queue


class Event:
    """Stands in for `cupy.cuda.Event`."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._stream: Stream | None = None
        self._number = 0
        self.reached = 0.0

    def record(self, stream: Stream | None = None) -> None:
        """Mark the current position in a stream, by default the current stream."""
        self._stream = stream or Stream.current
        self._number = self._stream.later(lambda: setattr(self, "reached", time.perf_counter()))

    def place(self) -> tuple[Stream, int]:
        """Return the stream and the work number to wait for, which is 0 if the event was never recorded."""
        return self._stream or Stream.null, self._number if self._stream else 0

    def synchronize(self) -> None:
        """Wait for the event."""
        Stream.counts.synchronisations += 1
        stream, number = self.place()
        stream.until(number)

    @property
    def done(self) -> bool:
        """True if the event was reached. Each check runs one item of work, as time passes on a real device."""
        stream, number = self.place()
        stream.until(min(stream._done + 1, number))
        return stream._done >= number


def get_elapsed_time(start: Event, end: Event) -> float:
    """Return the milliseconds between two reached events."""
    return (end.reached - start.reached) * 1000


def reset() -> None:
    """Start over with an empty default stream and zero counts."""
    Stream.counts = Counts()
    Stream.null = Stream.current = Stream(null=True)
