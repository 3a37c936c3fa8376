"""`numlstm gen`: write new text."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .options import Device, DropUnknown, Threads, Weights, open_backend


def gen(
    weights: Weights,
    prompt: Annotated[str, typer.Option(help="Text to go on from; it is printed first.", show_default=False)] = "",
    length: Annotated[int, typer.Option(help="Characters to write.")] = 250,
    temperature: Annotated[
        float,
        typer.Option(
            help="How freely to choose: 0 always takes the likeliest character, 1 follows the model, more is wilder."
        ),
    ] = 0.6,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed gives the same text.  [dim]\\[default: a new one][/dim]", show_default=False),
    ] = None,
    drop_unknown: DropUnknown = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write new text with a trained model.

    The text appears on stdout as it is made.

    Examples:

    [bold]numlstm gen weights.npz[/bold]

    [bold]numlstm gen weights.npz --prompt "ROMEO:" --length 1000 --temperature 0.8 --seed 7[/bold]
    """
    import secrets

    from .. import weights as files
    from ..config import SampleConfig
    from ..generate import generate
    from ..model import Model

    config = SampleConfig(length, temperature, secrets.randbelow(2**31) if seed is None else seed)
    file = files.load(weights)
    pieces = generate(
        Model(file.config, file.params, open_backend(device, threads), vocab=file.vocab),
        prompt,
        config,
        drop_unknown=drop_unknown,
    )
    _exact_stdout()
    write = sys.stdout.write
    write(file.vocab.decode(file.vocab.encode(prompt, drop_unknown=drop_unknown)))
    for piece in pieces:
        write(piece)
        sys.stdout.flush()
    if sys.stdout.isatty():
        write("\n")
        if seed is None:
            print(f"(seed {config.seed})", file=sys.stderr)
    sys.stdout.flush()


def _exact_stdout() -> None:
    """Write exact UTF-8 to a file or pipe; on a terminal, "?" for what it cannot show."""
    if hasattr(sys.stdout, "reconfigure"):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", newline="")
