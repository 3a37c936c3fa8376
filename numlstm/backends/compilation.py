"""Who is told when kernels are compiled: the command line shows it, for it takes long."""

from __future__ import annotations

from typing import Protocol


class CompileListener(Protocol):
    """Is told of kernels that must be compiled before they can run; one may need others, and begins before them."""

    def begun(self, kernel: str) -> None:
        """Take note that a kernel of that name is being compiled."""

    def done(self, kernel: str, problem: str) -> None:
        """Take note that it is compiled; `problem` says why it was not kept for the next time, "" if it was."""


# Whoever wants to know adds itself, and takes itself out again.
compile_listeners: list[CompileListener] = []
