"""`numlstm plot`: draw one or more runs from their logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG...", help="Logs written by [bold]train --log[/bold], one per run.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Picture to write, as .png, .svg or .pdf; an existing one is replaced.  [dim]\\[default: name of the "
            "first log, with .png][/dim]",
            show_default=False,
        ),
    ] = None,
    x: Annotated[
        str,
        typer.Option(
            help="Unit of the horizontal axis: [bold]steps[/bold], [bold]seconds[/bold] of training or "
            "[bold]tokens[/bold] predicted."
        ),
    ] = "steps",
) -> None:
    """Plot the training and validation loss of one or more runs.

    If a log contains several runs, the last is drawn; a run that was stopped and
    resumed counts as one. Needs matplotlib: [bold]pip install 'numlstm\\[plot]'[/bold]

    Examples:

    [bold]numlstm plot run.jsonl[/bold]

    [bold]numlstm plot small.jsonl large.jsonl --x seconds -o sizes.svg[/bold]
    """
    from ..monitoring import plot as pictures
    from ..monitoring.curves import load
    from ..storage.atomic import check_writable

    runs = load(logs, x)
    path = output or str(Path(logs[0]).with_suffix(".png"))
    pictures.check_picture(path)
    check_writable(path)
    pictures.draw(runs, path, x)
    for run in runs:
        best = "nothing validated yet" if run.best is None else f"best {run.best[0]:.4f} nats at step {run.best[1]:,}"
        typer.echo(f"{run.label}: {best}", err=True)
    typer.echo(f"drew {path}", err=True)
