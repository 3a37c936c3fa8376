"""`numlstm eval`: how well a model predicts a text."""

from __future__ import annotations

import json
import math
from typing import Annotated

import typer

from .options import Device, DropUnknown, Encoding, Json, Threads, Weights, open_backend
from .working import working


def evaluate(
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
    json_: Json = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Measure how well a model predicts a text.

    The state is carried over the whole text, and each character but the first is predicted. Prints the
    loss in nats and bits per character, and the perplexity: of how many equally likely characters it amounts to.

    Example:

    [bold]numlstm eval weights.npz other.txt[/bold]
    """
    from .. import weights as files
    from ..errors import CorpusError
    from ..evaluate import evaluate as mean_loss
    from ..model import Model
    from ..text.corpus import load_corpus
    from .reading import reading

    file = files.load(weights)
    with reading() as report:
        text = load_corpus(corpus, encoding=encoding, vocab=file.vocab, drop_unknown=drop_unknown, report=report)
    if len(text.ids) < 2:
        raise CorpusError(
            f"the text has {len(text.ids)} {text.vocab.unit}; expected at least 2, one to predict the other from"
        )
    with working(f"reading {len(text.ids):,} {text.vocab.unit}s"):
        model = Model(file.config, file.params, open_backend(device, threads), vocab=file.vocab)
        nats = mean_loss(model, text.ids, streams=streams)
    result = {
        "nats_per_token": nats,
        "bits_per_token": nats / math.log(2),
        "perplexity": math.exp(min(nats, 700.0)),
        "tokens": len(text.ids) - 1,
        "dropped": text.dropped,
        "unknown": text.unknown,
    }
    if json_:
        print(json.dumps(result))
        return
    unit = text.vocab.unit
    print(f"{nats:.4f} nats per {unit}, {result['bits_per_token']:.4f} bits, perplexity {result['perplexity']:.3f}")
    print(
        f"{result['tokens']:,} {unit}s predicted"
        + (f", {text.dropped:,} unknown ones left out" if text.dropped else "")
        + (f", {text.unknown:,} of them not in the vocabulary" if text.unknown else "")
    )
