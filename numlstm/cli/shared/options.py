"""Options and helpers that several commands share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ...settings.declaration import by_name, declared
from ...settings.precision import TEXT_PRECISIONS
from ...settings.run import RunSettings
from .declared_options import help_of
from .wording import as_options

if TYPE_CHECKING:
    from rich.console import Console

    from ...backends.protocol import Backend

Weights = Annotated[
    str,
    typer.Argument(
        metavar="WEIGHTS",
        help="A weights file written by [bold]train[/bold], or the name of a model (see [bold]numlstm models[/bold]).",
    ),
]
_RUN = by_name(declared(RunSettings))
Device = Annotated[str, typer.Option(help=_RUN["device"].help)]
Threads = Annotated[int | None, typer.Option(help=help_of(_RUN["threads"]), show_default=False)]
Precision = Annotated[
    str,
    typer.Option(
        metavar="|".join(TEXT_PRECISIONS),
        help="Number format of the weights: float32, or rounded to 16 bits (bf16) or 8 bits (int8), with which large "
        "models write faster on the CPU. [bold]numlstm info[/bold] shows the loss that each costs the shipped models.",
    ),
]
Encoding = Annotated[str, typer.Option(help=_RUN["encoding"].help)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help=_RUN["overwrite"].help)]
DropUnknown = Annotated[bool, typer.Option("--drop-unknown", help="Skip characters that the model does not know.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def open_backend(device: str, threads: int | None) -> Backend:
    """Load the backend of `device` and set its threads.

    Raises `BackendError` if it does not work here, `ConfigError` if `threads` exceeds the number of cores.
    """
    from ...backends import registry

    backend = registry.load(device)
    backend.set_threads(threads)
    return backend


def describe_device(backend: Backend, device: str) -> str:
    """Describe the device in use; if "auto" did not choose a GPU that seems to be there, say why."""
    from ...backends import registry

    if device != "auto" or not registry.gpu_is_unused(backend):
        return backend.describe()
    return f"{backend.describe()}; the GPU is not used: {as_options(registry.why_not('gpu'))}"


def stderr(*, quiet: bool = False) -> Console:
    """Return a console on stderr; a `quiet` one prints nothing."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, soft_wrap=not sys.stderr.isatty(), quiet=quiet)
