"""Show the progress of reading a long text on stderr: a progress bar on a terminal, else a line now and then.

A text that is read quickly shows nothing. Ctrl-C and SIGTERM raise `KeyboardInterrupt`, so no partial file is left.
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

_PATIENCE = 0.5  # seconds before the bar appears
_PLAIN_SECONDS = 15.0  # between two lines without a terminal


@contextmanager
def reading_progress() -> Iterator[Report]:
    """Context manager: yield a progress callback for reading a text."""
    shown = _ProgressDisplay()
    before = signal.getsignal(signal.SIGTERM)
    in_main = threading.current_thread() is threading.main_thread()  # only the main thread may set handlers
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


class _ProgressDisplay:
    def __init__(self) -> None:
        self.console = stderr()
        self.bar: Any = None  # a `rich.progress.Progress`, created when first needed
        self.task = ""
        self.last_line = time.monotonic()
        self.wait = _PATIENCE if self.console.is_terminal else _PLAIN_SECONDS
        self.tell_line: Callable[[str, int, int], None] = self._live if self.console.is_terminal else self._plain

    def tell(self, task: str, done: int, total: int) -> None:
        if self.bar is not None or time.monotonic() - self.last_line > self.wait:
            self.tell_line(task, done, total)

    def end(self) -> None:
        if self.bar is not None:
            self.bar.stop()

    def _plain(self, task: str, done: int, total: int) -> None:
        self.last_line = time.monotonic()
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
