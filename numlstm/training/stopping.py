"""How a run is stopped from outside: by Ctrl-C, SIGTERM, its terminal's end or the clock; always between two steps.

Knows nothing about what is stopped.
"""

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
    """Whether a stop was asked for, by the user or because time is up, and whether it may be at once."""

    by_user: bool = False
    out_of_time: bool = False
    at_once: bool = False
    cut_short: bool = False  # it was
    struck: bool = False  # the clock's signal is on its way, or was the last one
    since: float = 0.0  # when the user asked, by `time.monotonic`

    @property
    def asked(self) -> bool:
        return self.by_user or self.out_of_time


@contextmanager
def stop_asked(deadline: float | None = None) -> Iterator[Stop]:
    """Let signals and the clock ask for a stop after the step under way; a user who presses Ctrl-C again stops at once.

    A signal may come twice for one wish: `timeout` and terminals that close send it to a process and to its group. So
    no other signal asks again, and no Ctrl-C within a second. `deadline` is a time of `time.monotonic`; None: the clock
    never asks.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield stop
        return

    def ask(number: int, frame: Any) -> None:
        struck, stop.struck = stop.struck, False
        again = stop.by_user and number == signal.SIGINT and time.monotonic() - stop.since > _ONE_PRESS
        if not (struck or stop.by_user):
            stop.by_user, stop.since = True, time.monotonic()
        if stop.at_once:
            stop.at_once, stop.cut_short = False, True
            raise KeyboardInterrupt
        if again and not struck:
            raise KeyboardInterrupt

    def strike() -> None:
        if not stop.by_user:
            stop.out_of_time = stop.struck = True
            _thread.interrupt_main(signal.SIGINT)

    before = {number: signal.signal(number, ask) for number in _signals()}
    clock = None if deadline is None else threading.Timer(_wait(deadline), strike)
    if clock:
        clock.daemon = True
        clock.start()
    try:
        yield stop
    finally:
        if clock:
            clock.cancel()
            clock.join()  # or its signal might come when nobody listens for it any more
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(deadline: float) -> float:
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)


def _signals() -> list[signal.Signals]:
    """Return the signals that ask for a stop; that of a terminal which goes away only if nobody chose to ignore it."""
    hangup: list[signal.Signals] = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
    heard = [number for number in hangup if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores it
    return [signal.SIGINT, signal.SIGTERM, *heard]
