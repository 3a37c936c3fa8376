"""`numlstm check`: check the gradients on this machine and print a report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BackendError
from .shared.options import Device, Json, Threads, describe_device, open_backend
from .shared.wording import as_options
from .shared.work_progress import spinner

if TYPE_CHECKING:
    from ..analysis.gradient_check import Row
    from ..backends.protocol import Backend


def check(
    device: Device = "auto",
    json_: Json = False,
    threads: Threads = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Check only this precision: [bold]float32[/bold], [bold]bf16[/bold], [bold]tf32[/bold] or "
            "[bold]fp16[/bold].  [dim]\\[default: all that the device supports][/dim]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check that training computes correct gradients on this machine.

    Each entry of each array is changed a little, and the loss must change as the
    backward pass predicts: to a relative 1e-7 in float64. Outputs and gradients
    of any device but [bold]reference[/bold] must also agree with that one: to 1e-10 in
    float64, 1e-4 in float32 and, relative to an array's largest entry, 1.6 % in
    bf16 (8 significant bits) and 0.4 % in tf32 and fp16 (11 bits). Ends with a
    report to paste into an issue. Exits with 1 if a check fails.

    Example:

    [bold]numlstm check --device cpu[/bold]
    """
    from ..analysis import device_report, gradient_check
    from ..settings.precision import check_precision

    if precision is not None:
        check_precision(precision)
    backend = open_backend(device, threads)
    asked = [precision] if precision else ["float32", *gradient_check.ROUNDED]
    missing = {each: gradient_check.precision_missing(backend, each) for each in asked if each != "float32"}
    if precision and missing.get(precision):
        raise BackendError(missing[precision])
    rows: list[Row] = []
    with spinner(f"checking {backend.describe()}"):
        if "float32" in asked:
            rows += gradient_check.check(backend, threads=threads)
        for each, why_not in missing.items():
            rows += [] if why_not else gradient_check.check_rounded(backend, each)
    missing = {each: why_not for each, why_not in missing.items() if why_not}
    about = device_report.facts(backend, device_report.worst((row.kind, row.error) for row in rows))
    if json_:
        typer.echo(json.dumps(_as_json(backend, rows, missing, about), allow_nan=False))
    else:
        _print_table(describe_device(backend, device), rows)
        for each, why_not in missing.items():
            typer.echo(f"{each} was not checked: {as_options(why_not)}")
        typer.echo(f"\n{device_report.as_text(about)}")
    _fail(backend, rows)


def _fail(backend: Backend, rows: Sequence[Row]) -> None:
    """Raise `BackendError` if any row failed."""
    failed = [row.what for row in rows if not row.ok]
    if failed:
        raise BackendError(
            f"{len(failed)} of {len(rows)} gradients of {backend.name} are wrong: {', '.join(failed)}; expected none: "
            "do not train on this device, and report this with the output of `numlstm check --json`"
        )


def _as_json(
    backend: Backend, rows: Sequence[Row], missing: Mapping[str, str], about: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "device": backend.name,
        "description": backend.describe(),
        "ok": all(row.ok for row in rows),
        "not_checked": dict(missing),
        "report": dict(about),
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


def _print_table(device: str, rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("what", "shape", title=f"gradients of {escape(device)}")
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
