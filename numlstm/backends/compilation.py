"""Callbacks for kernel compilation, which takes seconds: the command line shows its progress."""

from __future__ import annotations

from typing import Protocol


class CompileListener(Protocol):
    """A callback for each kernel that is compiled. Calls nest, because a kernel may need others."""

    def begun(self, kernel: str) -> None:
        """Called before the kernel `kernel` is compiled."""

    def done(self, kernel: str, problem: str) -> None:
        """Called after compilation; `problem` says why the kernel was not cached, "" if it was."""


# Add a listener to be called, and remove it afterwards.
compile_listeners: list[CompileListener] = []
