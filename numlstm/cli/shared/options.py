"""Options that several commands share, so that each is worded once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .wording import as_options

if TYPE_CHECKING:
    from rich.console import Console

    from ...backends.protocol import Backend

Weights = Annotated[
    str,
    typer.Argument(
        metavar="WEIGHTS",
        help="A weights file that [bold]train[/bold] wrote, or the name of a model: see [bold]numlstm models[/bold].",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="[bold]auto[/bold] (gpu if it works, else cpu), [bold]cpu[/bold], [bold]gpu[/bold] (an NVIDIA one), "
        "[bold]reference[/bold] (NumPy, slow)."
    ),
]
Threads = Annotated[
    int | None, typer.Option(help="Processor cores to use.  [dim]\\[default: all][/dim]", show_default=False)
]
Encoding = Annotated[str, typer.Option(help="How the text's bytes are to be read, such as latin-1 or utf-16.")]
DropUnknown = Annotated[bool, typer.Option("--drop-unknown", help="Leave out characters that the model does not know.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]

Log = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Add what happens to this file, a JSON object a line; [bold]numlstm plot[/bold] draws it.",
        show_default=False,
    ),
]
TensorBoard = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Write what happens for TensorBoard, to be shown with [bold]tensorboard --logdir DIR[/bold].",
        show_default=False,
    ),
]


def open_backend(device: str, threads: int | None) -> Backend:
    """Load the backend of `device` and set its threads.

    Raises `BackendError` if it does not work here, `ConfigError` if there are not so many cores.
    """
    from ...backends import registry

    backend = registry.load(device)
    backend.set_threads(threads)
    return backend


def described(backend: Backend, device: str) -> str:
    """Return the device that was taken and, where it was for auto to choose, why."""
    from ...backends import registry

    if device != "auto":
        return backend.describe()
    if backend.name == "gpu":
        return f"{backend.describe()}; a test kernel ran on it"
    return f"{backend.describe()}; no GPU: {as_options(registry.why_not('gpu'))}"


def stderr() -> Console:
    """Return a console for everything that is not text."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, soft_wrap=not sys.stderr.isatty())
