"""Callbacks for the compilation of kernels. It takes seconds, so the command line shows it."""

from __future__ import annotations

from typing import Protocol


class CompileListener(Protocol):
    """A callback for each kernel that is compiled. Calls nest, because a kernel may need others."""

    def begun(self, kernel: str) -> None:
        """Called before the kernel `kernel` is compiled."""

    def done(self, kernel: str, problem: str) -> None:
        """Called after it; `problem` says why it was not cached, "" if it was."""


# Add a listener to be called, and remove it afterwards.
compile_listeners: list[CompileListener] = []
