"""Show on stderr that a command is working, above all while it compiles kernels: slow, but once per machine.

On a terminal this is a live line that disappears when the work is done; elsewhere a plain line when compilation begins.
Either way, a last line says how long compilation took. Kernels from the cache are not mentioned.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from .wording import counted

if TYPE_CHECKING:
    from rich.console import Console

_COMPILING = "compiling kernels for this processor (only the first time)"


@contextmanager
def spinner(task: str = "", console: Console | None = None) -> Iterator[None]:
    """Context manager: show `task` as a live line on a terminal, and report kernels that the block compiles.

    Pass the `console` of a live line that is already shown: the report is then printed as plain lines above it.
    """
    from ...backends import compilation

    shown = _Shown(task, console)
    compilation.compile_listeners.append(shown)
    try:
        shown.now(task)
        yield
    finally:
        compilation.compile_listeners.remove(shown)
        shown.end()


class _Shown:
    """A `backends.CompileListener` that shows the progress of compilation."""

    def __init__(self, task: str, console: Console | None) -> None:
        self.task = task
        self.live = console is None and sys.stderr.isatty()
        self.line: Any = None  # a `rich.progress.Progress`, created when first needed
        self.say: Callable[[str], None] = _to_stderr if console is None else partial(console.print, markup=False)
        self.compiled, self.under_way, self.seconds, self.began = 0, 0, 0.0, 0.0
        self.problem = ""

    def begun(self, kernel: str) -> None:
        if not self.under_way:
            self.began = time.monotonic()
        if not (self.live or self.compiled or self.under_way):
            self.say(f"{_COMPILING} ...")
        self.under_way += 1
        self._count()

    def done(self, kernel: str, problem: str) -> None:
        self.compiled += 1
        self.under_way -= 1
        self.problem = problem
        if self.under_way:
            self._count()
        else:
            self.seconds += time.monotonic() - self.began
            self.now(self.task)

    def now(self, text: str) -> None:
        """Change the text of the live line."""
        if not self.live or not (text or self.line):
            return
        if self.line is None:
            self.line = _live_line()
            self.line.add_task(text)
            self.line.start()
        task = self.line.tasks[0]
        if task.description != text:
            self.line.update(task.id, description=text)

    def end(self) -> None:
        """Remove the live line and report what was compiled."""
        if self.line:
            self.line.stop()
        if self.compiled:
            kept = f"not cached: {self.problem}" if self.problem else "cached for next time"
            self.say(f"compiled {counted(self.compiled, 'kernel')} in {self.seconds:.0f} s; {kept}")

    def _count(self) -> None:
        self.now(f"{_COMPILING}: {self.compiled} of {self.compiled + self.under_way} so far")


def _live_line() -> Any:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from .options import stderr

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    return Progress(*columns, console=stderr(), transient=True)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
