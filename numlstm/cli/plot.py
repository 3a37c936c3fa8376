"""`numlstm plot`: a picture of one or several runs from their logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG...", help="Logs that [bold]train --log[/bold] wrote, one a run.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="The picture, .png, .svg or .pdf; an older one is replaced.  [dim]\\[default: as the first log, "
            ".png][/dim]",
            show_default=False,
        ),
    ] = None,
    x: Annotated[
        str,
        typer.Option(
            help="What the losses are drawn over: [bold]steps[/bold], [bold]seconds[/bold] of training or "
            "[bold]tokens[/bold] predicted."
        ),
    ] = "steps",
) -> None:
    """Draw the training and validation loss of runs, to compare them.

    Where a log holds several runs, the last is drawn; a run that was stopped and resumed is one run.
    Needs matplotlib: [bold]pip install 'numlstm\\[plot]'[/bold]

    Examples:

    [bold]numlstm plot run.jsonl[/bold]

    [bold]numlstm plot small.jsonl large.jsonl --x seconds -o sizes.svg[/bold]
    """
    from ..monitoring import plot as pictures
    from ..monitoring.curves import load
    from ..storage.atomic import check_writable

    pictures.check_picture(output or "run.png")  # before anything is read
    if output:
        check_writable(output)
    runs = load(logs, x)
    path = output or str(Path(logs[0]).with_suffix(".png"))
    pictures.draw(runs, path, x)
    for run in runs:
        best = "nothing validated yet" if run.best is None else f"best {run.best[0]:.4f} nats at step {run.best[1]:,}"
        typer.echo(f"{run.label}: {best}", err=True)
    typer.echo(f"drew {path}", err=True)
