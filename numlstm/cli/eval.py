"""`numlstm eval`: how well a model predicts a text, and each file of it."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, CorpusError
from ..network.loss_units import bits, perplexity
from .shared.options import Device, DropUnknown, Encoding, Json, Threads, Weights, open_backend
from .shared.work_progress import working

if TYPE_CHECKING:
    from ..model import Model
    from ..text.dataset.corpus import Corpus

Result = dict[str, Any]


def eval(
    weights: Weights,
    corpus: Annotated[
        list[str],
        typer.Argument(metavar="CORPUS...", help="A corpus name, files, folders, globs, or - for standard input."),
    ],
    encoding: Encoding = "utf-8",
    drop_unknown: DropUnknown = False,
    streams: Annotated[
        int, typer.Option(help="Read the text as so many parts side by side: faster, and the same to about 0.001 nats.")
    ] = 1,
    cold_windows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Read random windows of N tokens instead, each with nothing before it, as nanoGPT is evaluated: to "
            "compare with its figures, which are higher than those with carried state.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the windows of --cold-windows.")] = 0,
    json_: Json = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Measure how well a model predicts a text.

    The state is carried over the whole text, from file to file in the order given, and each token but the first is
    predicted: a character, a byte or a word, as the model was trained. Prints the loss in nats and bits per token, and
    the perplexity: of how many equally likely tokens it amounts to. Of several files each one's own is told too.

    Examples:

    [bold]numlstm eval weights.npz other.txt[/bold]

    [bold]numlstm eval weights.npz val.txt --cold-windows 256[/bold]
    """
    from ..model import Model
    from ..network import weights_file as files
    from ..text.dataset.corpus import load_corpus
    from .shared.reading_progress import reading

    if cold_windows is not None and streams != 1:
        raise ConfigError("both --streams and --cold-windows were given; expected one of them")
    if streams < 1:
        raise ConfigError(f"--streams is {streams}; expected a whole number from 1")
    file = files.load(weights)
    unit = file.vocab.unit
    with reading() as report:
        text = load_corpus(corpus, encoding=encoding, vocab=file.vocab, drop_unknown=drop_unknown, report=report)
    if len(text.ids) < 2:
        raise CorpusError(f"the text has {len(text.ids)} {unit}; expected at least 2, one to predict the other from")
    with working(f"reading {len(text.ids):,} {unit}s"):
        model = Model(file.config, file.params, open_backend(device, threads), vocab=file.vocab)
        found = carried(model, text, streams) if cold_windows is None else cold(model, text, cold_windows, seed)
    found |= {"level": file.vocab.level, "dropped": text.dropped, "unknown": text.unknown}
    if json_:
        print(json.dumps(found, allow_nan=False))
    else:
        _print(found, unit)


def carried(model: Model, text: Corpus, streams: int) -> Result:
    """Return the measures of the whole text, the state carried along, and under `files` those of each file."""
    from ..network.evaluate import losses

    parts = text.parts
    sums = losses(model, text.ids, [end for _, _, end in parts], streams=streams)
    each = [
        {"name": name, **_measures(total, end - max(start, 1))}
        for (name, start, end), total in zip(parts, sums, strict=True)
    ]
    return {**_measures(math.fsum(sums), len(text.ids) - 1), "files": each}


def cold(model: Model, text: Corpus, length: int, seed: int) -> Result:
    """Return the measures of random windows of that length, and under `cold_windows` which they were."""
    from ..network.evaluate import evaluate_cold

    found = evaluate_cold(model, text.ids, length, seed=seed)
    tokens = found.windows * length
    about = {"length": length, "windows": found.windows, "seed": seed, "standard_error": found.standard_error}
    return {**_measures(found.nats * tokens, tokens), "files": [], "cold_windows": about}


def _measures(total: float, tokens: int) -> Result:
    """Return a summed loss as a mean per token in each measure; None where no token was predicted."""
    if tokens < 1:
        return {"nats_per_token": None, "bits_per_token": None, "perplexity": None, "tokens": 0}
    nats = total / tokens
    return {"nats_per_token": nats, "bits_per_token": bits(nats), "perplexity": perplexity(nats), "tokens": tokens}


def _print(found: Result, unit: str) -> None:
    if len(found["files"]) > 1:
        _print_files(found["files"], unit)
    print(
        f"{found['nats_per_token']:.4f} nats per {unit}, {found['bits_per_token']:.4f} bits, "
        f"perplexity {found['perplexity']:.3f}"
    )
    windows = found.get("cold_windows")
    if windows:
        print(
            f"{windows['windows']:,} random windows of {windows['length']:,} {unit}s, each with nothing before it "
            f"(seed {windows['seed']}; standard error {windows['standard_error']:.4f} nats)"
        )
    carried = ", the state carried from file to file" if len(found["files"]) > 1 else ""
    dropped = f", {found['dropped']:,} unknown ones left out" if found["dropped"] else ""
    print(f"{found['tokens']:,} {unit}s predicted{carried}{dropped}")
    if found["unknown"]:
        print(f"{found['unknown']:,} {unit}s are not in the vocabulary and were read and predicted as <unk>")


def _print_files(files: list[Result], unit: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    table = Table(Column("file", overflow="fold"), box=None, pad_edge=False)
    for heading in (f"{unit}s", "nats", "bits", "perplexity"):
        table.add_column(heading, justify="right")
    for each in files:
        nats = each["nats_per_token"]
        told = (
            ("",) * 3 if nats is None else (f"{nats:.4f}", f"{each['bits_per_token']:.4f}", f"{each['perplexity']:.3f}")
        )
        table.add_row(escape(_short(each["name"])), f"{each['tokens']:,}", *told)
    width = None if sys.stdout.isatty() else 10_000  # of a file no name is too long
    Console(highlight=False, soft_wrap=True, width=width).print(table)


def _short(name: str) -> str:
    """Return a path from here where it lies below, else as it is."""
    below = os.path.isabs(name) and name.startswith(os.path.join(os.getcwd(), ""))
    return os.path.relpath(name) if below else name
