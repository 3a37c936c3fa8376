"""Stop a run from outside, between two steps: by Ctrl-C, SIGTERM, a closed terminal or a deadline."""

from __future__ import annotations

import _thread
import dataclasses
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ONE_PRESS = 1.0  # seconds


@dataclasses.dataclass
class Stop:
    """A requested stop, by the user or because time is up; `at_once` permits interrupting immediately."""

    by_user: bool = False
    out_of_time: bool = False
    at_once: bool = False
    cut_short: bool = False  # something was interrupted immediately
    timer_fired: bool = False  # the timer's signal is under way
    since: float = 0.0  # when the user asked, by `time.monotonic`

    @property
    def asked(self) -> bool:
        return self.by_user or self.out_of_time


@contextmanager
def stop_asked(deadline: float | None = None) -> Iterator[Stop]:
    """Context manager: signals and a deadline request a stop after the current step; a second Ctrl-C stops at once.

    One request may send two signals: `timeout` and closing terminals signal a process and then its group. So only a
    Ctrl-C counts as a second request, and only after a second. `deadline` is a time of `time.monotonic`, None for no
    deadline.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield stop
        return

    def ask(number: int, frame: Any) -> None:
        timer_fired, stop.timer_fired = stop.timer_fired, False
        again = stop.by_user and number == signal.SIGINT and time.monotonic() - stop.since > _ONE_PRESS
        if not (timer_fired or stop.by_user):
            stop.by_user, stop.since = True, time.monotonic()
        if stop.at_once:
            stop.at_once, stop.cut_short = False, True
            raise KeyboardInterrupt
        if again and not timer_fired:
            raise KeyboardInterrupt

    def fire_timer() -> None:
        if not stop.by_user:
            stop.out_of_time = stop.timer_fired = True
            _thread.interrupt_main(signal.SIGINT)

    before = {number: signal.signal(number, ask) for number in _signals()}
    clock = None if deadline is None else threading.Timer(_wait(deadline), fire_timer)
    if clock:
        clock.daemon = True
        clock.start()
    try:
        yield stop
    finally:
        if clock:
            clock.cancel()
            clock.join()  # or its signal might arrive after the handlers are restored
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(deadline: float) -> float:
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)


def _signals() -> list[signal.Signals]:
    """Return the signals that request a stop; SIGHUP only if it is not ignored."""
    hangup: list[signal.Signals] = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
    heard = [number for number in hangup if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores it
    return [signal.SIGINT, signal.SIGTERM, *heard]
