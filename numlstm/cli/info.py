"""`numlstm info`: what a weights file contains."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from .shared.options import Json, Weights

if TYPE_CHECKING:
    from ..network.weights_file import WeightsFile


def info(weights: Weights, json_: Json = False) -> None:
    """Show what a weights file contains: the network, its vocabulary, how it was trained.

    Example:

    [bold]numlstm info weights.npz[/bold]
    """
    from ..network import weights_file as files
    from .shared.network_summary import checked_record, format_symbols, printable, shape_table

    file = files.load(weights)
    if json_:
        print(json.dumps(_facts(file)))
        return
    with checked_record(weights):
        lines = _history(file)
    from rich.console import Console

    console = Console(highlight=False)
    console.print(shape_table(file.config))
    console.print(
        f"vocabulary  {len(file.vocab)} {file.vocab.unit}s: {format_symbols(file.vocab)}", markup=False, soft_wrap=True
    )
    for line in lines:
        console.print(printable(line), markup=False, soft_wrap=True)


def _facts(file: WeightsFile) -> dict[str, Any]:
    from ..network import parameters

    return {
        "config": file.config.to_dict(),
        "parameters": parameters.count(file.config),
        "vocab": file.vocab.to_dict(),
        "summary": file.summary,
        "training": file.state.config.to_dict() if file.state else None,
    }


def _history(file: WeightsFile) -> list[str]:
    """Return lines on the training: text, duration, settings and losses."""
    s, unit = file.summary, file.vocab.unit
    lines = [f"{name:<12}{text}" for name, text in s.get("about", {}).items()]
    if "corpus" in s:
        lines.append(f"corpus      {s['corpus']['characters']:,} {unit}s of {', '.join(s['corpus']['sources'])}")
    lines += [f"command     {command}" for command in s.get("commands", [])]
    if file.state:
        c, total = file.state.config, file.state.config.steps
        done = f"{file.state.step:,} of {total:,} steps" if file.state.step < total else f"{total:,} steps"
        lines.append(f"trained     {done} in {s.get('seconds', 0):.0f} s")
        lines.append(
            f"settings    batch size {c.batch_size}, length {c.seq_len}, {c.optimizer}, rate {c.lr:g} ({c.schedule}), "
            f"clip {c.clip:g}, seed {c.seed}, precision {c.precision}"
        )
    if s.get("best_loss") is not None:
        bits = s["best_loss"] / math.log(2)
        lines.append(f"validation  {s['best_loss']:.4f} nats ({bits:.4f} bits) per {unit}, at step {s['best_step']:,}")
    if "evaluated" in s:
        lines.append(f"as stored   {_evaluated(s['evaluated'], unit)}")
        if "rounded" in s["evaluated"]:
            found = "; ".join(f"{name} {nats:.4f}" for name, nats in s["evaluated"]["rounded"].items())
            lines.append(f"rounded     {found} nats per {unit} with carried state (gen --precision)")
    return lines


def _evaluated(found: dict[str, Any], unit: str) -> str:
    """Describe the losses of the stored weights on the validation part of the text."""
    nats = f"{found['carried']:.4f} nats per {unit} on the validation part, with carried state"
    return f"{nats}; {found['cold']:.4f} in random windows of {found['window']}"
