"""`numlstm models`: list the models that ship with numlstm."""

from __future__ import annotations

import json
import os
from typing import Any

from .shared.options import Json


def models(json_: Json = False) -> None:
    """List the models that ship with numlstm.

    Use their names in place of a weights file.

    Example:

    [bold]numlstm gen shakespeare[/bold]
    """
    from ..network import shipped

    found = {name: _facts(os.fspath(path)) for name, path in shipped.models().items()}
    if json_:
        print(json.dumps(found))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in (("model", "left"), ("trained on", "left"), ("parameters", "right"), ("nats", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("licence")
    for name, facts in found.items():
        nats = facts["nats_per_token"]
        shown = "" if nats is None else f"{nats:.3f}"
        about = facts["about"]
        table.add_row(name, about.get("title", ""), f"{facts['parameters']:,}", shown, about.get("licence", ""))
    Console(highlight=False).print(table)
    if found:
        print(f"numlstm gen {next(reversed(found))}")
        print(f"numlstm info {next(reversed(found))}")


def _facts(path: str) -> dict[str, Any]:
    from ..network import parameters, weights_file

    file = weights_file.load(path)
    summary = file.summary
    return {
        "about": summary.get("about", {}),
        "parameters": parameters.count(file.config),
        "nats_per_token": summary.get("evaluated", {}).get("carried", summary.get("best_loss")),
        "bytes": os.path.getsize(path),
        "path": path,
    }
