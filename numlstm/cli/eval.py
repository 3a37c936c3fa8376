"""`numlstm eval`: how well a model predicts a text, in total and per file."""

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
from .shared.work_progress import spinner

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
        int, typer.Option(help="Read this many parts of the text in parallel: faster, and equal to about 0.001 nats.")
    ] = 1,
    cold_windows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Read random windows of N tokens instead, each without the text before it. nanoGPT is evaluated this "
            "way; the loss is higher than when the state is carried over.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random choice of --cold-windows.")] = 0,
    json_: Json = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Measure how well a model predicts a text.

    The model predicts each token but the first: a character, byte or word,
    depending on the model. Its state is carried over the whole text, from file
    to file in the order given. Prints the loss in nats and bits per token, and
    the perplexity: the number of equally likely tokens that the model hesitates
    between. Given several files, it also prints these for each file.

    Examples:

    [bold]numlstm eval weights.npz other.txt[/bold]

    [bold]numlstm eval weights.npz val.txt --cold-windows 256[/bold]
    """
    from ..model import Model
    from ..network import weights_file as files
    from ..text.dataset.corpus import load_corpus
    from .shared.reading_progress import reading_progress

    if cold_windows is not None and streams != 1:
        raise ConfigError("give either --streams or --cold-windows, not both")
    if streams < 1:
        raise ConfigError(f"--streams is {streams}; expected a whole number from 1")
    file = files.load(weights)
    unit = file.vocab.unit
    with reading_progress() as report:
        text = load_corpus(corpus, encoding=encoding, vocab=file.vocab, drop_unknown=drop_unknown, report=report)
    if len(text.ids) < 2:
        raise CorpusError(f"the text has {len(text.ids)} {unit}; expected at least 2, one to predict the other from")
    with spinner(f"reading {len(text.ids):,} {unit}s"):
        model = Model(file.config, file.params, open_backend(device, threads), vocab=file.vocab)
        found = carried(model, text, streams) if cold_windows is None else cold(model, text, cold_windows, seed)
    found |= {"level": file.vocab.level, "dropped": text.dropped, "unknown": text.unknown}
    if json_:
        print(json.dumps(found, allow_nan=False))
    else:
        _print(found, unit)


def carried(model: Model, text: Corpus, streams: int) -> Result:
    """Return the losses of the whole text with carried state and, under `files`, those of each file."""
    from ..network.evaluate import losses

    parts = text.parts
    sums = losses(model, text.ids, [end for _, _, end in parts], streams=streams)
    each = [
        {"name": name, **_measures(total, end - max(start, 1))}
        for (name, start, end), total in zip(parts, sums, strict=True)
    ]
    return {**_measures(math.fsum(sums), len(text.ids) - 1), "files": each}


def cold(model: Model, text: Corpus, length: int, seed: int) -> Result:
    """Return the losses of random windows of `length` tokens, which `cold_windows` describes."""
    from ..network.evaluate import evaluate_windows

    found = evaluate_windows(model, text.ids, length, seed=seed)
    tokens = found.windows * length
    about = {"length": length, "windows": found.windows, "seed": seed, "standard_error": found.standard_error}
    return {**_measures(found.nats * tokens, tokens), "files": [], "cold_windows": about}


def _measures(total: float, tokens: int) -> Result:
    """Return a summed loss per token in nats, bits and perplexity; None if no token was predicted."""
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
        row = (
            ("",) * 3 if nats is None else (f"{nats:.4f}", f"{each['bits_per_token']:.4f}", f"{each['perplexity']:.3f}")
        )
        table.add_row(escape(_short(each["name"])), f"{each['tokens']:,}", *row)
    width = None if sys.stdout.isatty() else 10_000  # do not fold names in a file or pipe
    Console(highlight=False, soft_wrap=True, width=width).print(table)


def _short(name: str) -> str:
    """Return a path relative to the working directory if it is inside it, else unchanged."""
    below = os.path.isabs(name) and name.startswith(os.path.join(os.getcwd(), ""))
    return os.path.relpath(name) if below else name
