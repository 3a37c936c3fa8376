"""A progress bar on a terminal or in a notebook, for training from Python."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..backends.compilation import compile_listeners
from ..settings.training import TrainingSettings
from .loop import Epoch, Progress, Step
from .samples import Samples

Event = Progress | Samples

_SECONDS = 0.2  # minimum interval between updates of the line
_BAR = 20  # characters


class Run(Protocol):
    """The attributes of a run that the progress bar reads."""

    @property
    def step(self) -> int: ...

    @property
    def settings(self) -> TrainingSettings: ...

    @property
    def best_loss(self) -> float | None: ...


def with_progress_bar(run: Run, events: Iterator[Event], progress: bool | None) -> Iterator[Event]:
    """Yield a run's events and show a progress bar; if `progress` is None, only on a terminal or in a notebook."""
    notebook = _notebook()
    if progress is None:
        progress = notebook is not None or (sys.stderr is not None and sys.stderr.isatty())
    if not progress:
        yield from events
        return
    show = notebook or _to_stderr
    began, first, written = time.monotonic(), run.step, 0.0
    compiling = _Compiling(show)
    compile_listeners.append(compiling)
    try:
        for event in events:
            now = time.monotonic()
            if isinstance(event, Epoch) or (isinstance(event, Step) and now - written > _SECONDS):
                written = now
                show(line(run, event, (event.step - first) / max(now - began, 1e-9)))
            yield event
    finally:
        compile_listeners.remove(compiling)
        if notebook is None:
            print(file=sys.stderr)


class _Compiling:
    """Shows that kernels are being compiled, which delays the first step of a machine's first run."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show, self.number = show, 0

    def begun(self, kernel: str) -> None:
        self.number += 1
        self.show(f"compiling kernels for this processor (only the first time): {self.number} so far")

    def done(self, kernel: str, problem: str) -> None:
        pass


def line(run: Run, event: Progress, speed: float) -> str:
    """Return the progress bar of a run as a line of text; `speed` is in steps per second."""
    steps = run.settings.steps
    done = event.step / steps if steps else 1.0
    bar = "█" * round(_BAR * done) + "░" * (_BAR - round(_BAR * done))
    best = "" if run.best_loss is None else f"  best validation loss {run.best_loss:.4f}"
    left = (steps - event.step) / speed if speed else 0.0
    return f"{bar} step {event.step:,}/{steps:,}  epoch {event.epoch}  loss {event.loss:.4f}{best}  {_time(left)} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _to_stderr(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        print(f"\r\033[2K{text}", end="", file=sys.stderr, flush=True)


def _notebook() -> Any:
    """Return a function that shows a line in a notebook, replacing the previous one; None outside notebooks."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or shell.__class__.__name__ != "ZMQInteractiveShell":
        return None
    from html import escape

    display = sys.modules["IPython.display"]
    handle = display.display(display.HTML(""), display_id=True)
    return lambda text: handle.update(display.HTML(f"<pre>{escape(text)}</pre>"))
