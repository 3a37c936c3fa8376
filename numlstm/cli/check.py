"""`numlstm check`: prove the gradients on this machine and print what was found.

Knows nothing about how they are proved: `gradcheck` does that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from ..errors import BackendError
from .options import Device, Json, Threads, open_backend
from .working import working

if TYPE_CHECKING:
    from ..backends import Backend
    from ..gradcheck import Row


def check(device: Device = "auto", json_: Json = False, threads: Threads = None) -> None:
    """Prove the gradients on this machine.

    Each entry of each array is moved a little, and the loss must change
    as the backward pass says: to 1e-7, relative, in float64. Any device but
    [bold]reference[/bold] must also agree with that one, outputs included.
    Exits with 1 if anything is off.

    Example:

    [bold]numlstm check --device cpu[/bold]
    """
    from .. import gradcheck

    backend = open_backend(device, threads)
    with working(f"checking {backend.describe()}"):
        rows = list(gradcheck.check(backend, threads=threads))
    if json_:
        typer.echo(json.dumps(_as_json(backend, rows), allow_nan=False))
    else:
        _print_table(backend, rows)
    failed = [row.what for row in rows if not row.ok]
    if failed:
        raise BackendError(
            f"{len(failed)} of {len(rows)} gradients of {backend.name} are wrong: {', '.join(failed)}; expected none: "
            "do not train on this device, and report this with the output of `numlstm check --json`"
        )


def _as_json(backend: Backend, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "device": backend.name,
        "description": backend.describe(),
        "ok": all(row.ok for row in rows),
        "rows": [
            {
                "what": row.what,
                "shape": list(row.shape),
                "error": row.error if math.isfinite(row.error) else None,  # JSON has no NaN
                "allowed": row.allowed,
                "ok": row.ok,
            }
            for row in rows
        ],
    }


def _print_table(backend: Backend, rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "shape", title=f"gradients of {backend.describe()}")
    for heading in ("error", "allowed", "ok"):
        table.add_column(heading, justify="right")
    for row in rows:
        shape = " x ".join(map(str, row.shape)) or "1"
        ok = "yes" if row.ok else "[bold red]NO[/]"
        table.add_row(row.what, shape, f"{row.error:.1e}", f"{row.allowed:.0e}", ok)
    console = Console(highlight=False)
    console.print(table)
    wrong = sum(not row.ok for row in rows)
    console.print(f"{wrong} of {len(rows)} gradients are wrong" if wrong else f"all {len(rows)} gradients agree")
