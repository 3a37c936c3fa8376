"""`numlstm check`: prove the gradients on this machine and print what was found.

Knows nothing about how they are proved: `gradcheck` does that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BackendError
from .options import Device, Json, Threads, open_backend
from .working import working

if TYPE_CHECKING:
    from ..backends import Backend
    from ..gradcheck import Row


def check(
    device: Device = "auto",
    json_: Json = False,
    threads: Threads = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="[bold]bf16[/bold] checks that alone, [bold]float32[/bold] leaves it out.  "
            "[dim]\\[default: both where the processor can][/dim]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Prove the gradients on this machine.

    Each entry of each array is moved a little, and the loss must change
    as the backward pass says: to 1e-7, relative, in float64. Any device but
    [bold]reference[/bold] must also agree with that one, outputs included:
    to 1e-10 in float64, 1e-4 in float32, and 1.6 % of an array's largest entry
    in bf16, whose numbers have 8 bits. Exits with 1 if anything is off.

    Example:

    [bold]numlstm check --device cpu[/bold]
    """
    from .. import gradcheck
    from ..config import check_precision

    if precision is not None:
        check_precision(precision)
    backend = open_backend(device, threads)
    with working(f"checking {backend.describe()}"):
        missing = "" if precision == "float32" else gradcheck.bf16_missing(backend)
        if precision == "bf16" and missing:
            raise BackendError(missing)
        rows = [] if precision == "bf16" else list(gradcheck.check(backend, threads=threads))
        if precision != "float32" and not missing:
            rows += gradcheck.check_bf16(backend)
    if json_:
        typer.echo(json.dumps(_as_json(backend, rows, missing), allow_nan=False))
    else:
        _print_table(backend, rows)
        if missing:
            typer.echo(f"bf16 was not checked: {missing}")
    failed = [row.what for row in rows if not row.ok]
    if failed:
        raise BackendError(
            f"{len(failed)} of {len(rows)} gradients of {backend.name} are wrong: {', '.join(failed)}; expected none: "
            "do not train on this device, and report this with the output of `numlstm check --json`"
        )


def _as_json(backend: Backend, rows: Sequence[Row], bf16_missing: str) -> dict[str, Any]:
    return {
        "device": backend.name,
        "description": backend.describe(),
        "ok": all(row.ok for row in rows),
        "not_checked": {"bf16": bf16_missing} if bf16_missing else {},
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
        table.add_row(row.what, shape, f"{row.error:.1e}", f"{row.allowed:.2g}", ok)
    console = Console(highlight=False)
    console.print(table)
    wrong = sum(not row.ok for row in rows)
    console.print(f"{wrong} of {len(rows)} gradients are wrong" if wrong else f"all {len(rows)} gradients agree")
