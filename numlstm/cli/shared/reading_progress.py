"""What a person sees while a long text is read: on a terminal a live bar, else a plain line now and then; on stderr.

A text that is read in a moment shows nothing. Ctrl-C and SIGTERM end it in order, so that no half-made file is left.
Knows nothing about how a text is read.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...text.dataset.encode import Report
from .options import stderr

_PATIENCE = 0.5  # seconds until there is something to see
_PLAIN_SECONDS = 15.0  # between two lines where there is no terminal


@contextmanager
def reading() -> Iterator[Report]:
    """Give what is to be told how far the reading of a text is."""
    shown = _Shown()
    before = signal.getsignal(signal.SIGTERM)
    in_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if in_main:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield shown.tell
    finally:
        shown.end()
        if in_main:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


class _Shown:
    def __init__(self) -> None:
        self.console = stderr()
        self.bar: Any = None  # a `rich.progress.Progress`, made when there is something to show
        self.task = ""
        self.told = time.monotonic()
        self.wait = _PATIENCE if self.console.is_terminal else _PLAIN_SECONDS
        self.tell_line: Callable[[str, int, int], None] = self._live if self.console.is_terminal else self._plain

    def tell(self, task: str, done: int, total: int) -> None:
        if self.bar is not None or time.monotonic() - self.told > self.wait:
            self.tell_line(task, done, total)

    def end(self) -> None:
        if self.bar is not None:
            self.bar.stop()

    def _plain(self, task: str, done: int, total: int) -> None:
        self.told = time.monotonic()
        share = f"{100 * done // total} % of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
        self.console.print(f"{task}: {share}", markup=False)

    def _live(self, task: str, done: int, total: int) -> None:
        if self.bar is None:
            from rich import progress

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TimeRemainingColumn(),
            )
            self.bar = progress.Progress(*columns, console=self.console, transient=True)
            self.bar.add_task(task)
            self.bar.start()
        only = self.bar.tasks[0]
        if task != self.task:
            self.task = task
            self.bar.reset(only.id, description=task)
        self.bar.update(only.id, completed=done, total=total or None)
