"""`numlstm train`: train a model on a text, watch it learn, keep what it learned."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..config import TrainConfig
from ..errors import ConfigError
from .options import Device, Log, TensorBoard, Threads, open_backend


def train(
    corpus: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CORPUS...",
            help="A corpus name ([bold]python[/bold]), files, folders, globs, - (standard input); several are joined.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="The size of each LSTM layer.  [dim]\\[default: 128,128][/dim]", show_default=False),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="Where the weights go.  [dim]\\[default: weights.npz][/dim]", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Go on with the run in this file, its text and settings; --epochs and --steps then mean the total.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="How often to go through the text.  [dim]\\[default: 2 to 40, by its length][/dim]",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="How many updates to make, instead of --epochs.", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help=f"Parallel streams.  [dim]\\[default: {TrainConfig.batch_size:g}][/dim]", show_default=False),
    ] = None,
    seq_len: Annotated[
        int | None,
        typer.Option(
            help=f"Characters through which gradients flow back.  [dim]\\[default: {TrainConfig.seq_len:g}][/dim]",
            show_default=False,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help=f"The highest learning rate.  [dim]\\[default: {TrainConfig.lr:g}][/dim]", show_default=False
        ),
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(
            help=f"The largest norm of a gradient; 0: any.  [dim]\\[default: {TrainConfig.clip:g}][/dim]",
            show_default=False,
        ),
    ] = None,
    val_split: Annotated[
        float | None,
        typer.Option(
            help=f"The last part of the text, kept to validate on.  [dim]\\[default: {TrainConfig.val_split:g}][/dim]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help=f"The same seed gives the same weights.  [dim]\\[default: {TrainConfig.seed:g}][/dim]",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="[bold]bf16[/bold] multiplies numbers of 16 bits and adds up in float32, where the processor can; "
            "weights stay float32, and [bold]gen[/bold] and [bold]eval[/bold] compute in float32 alone.  "
            f"[dim]\\[default: {TrainConfig.precision}, or the resumed run's][/dim]",
            show_default=False,
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="How the text's bytes are to be read, such as latin-1.  [dim]\\[default: utf-8][/dim]",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="What the samples go on from.  [dim]\\[default: a line of the text][/dim]", show_default=False
        ),
    ] = None,
    sample_length: Annotated[int, typer.Option(help="Characters of each sample after an epoch; 0: none.")] = 120,
    log: Log = None,
    tensorboard: TensorBoard = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a model on a text.

    The last tenth of the text is kept back to validate on. The weights file holds the best parameters so far and
    all that is needed to go on; it is written after every epoch and every minute. Ctrl-C saves and stops.

    Examples:

    [bold]numlstm train corpus.txt[/bold]

    [bold]numlstm train poems/ letters.txt --layers 256,256 --epochs 20 -o mine.npz[/bold]

    [bold]numlstm train --resume weights.npz --epochs 40[/bold]
    """
    given = {
        "batch_size": batch_size,
        "seq_len": seq_len,
        "lr": lr,
        "clip": clip,
        "val_split": val_split,
        "seed": seed,
    }
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if epochs is not None and steps is not None:
        raise ConfigError("both --epochs and --steps were given; expected one of them")
    from .. import weights
    from . import start
    from .recording import open_sinks
    from .session import check_prompt, prepare, watch
    from .working import working

    path = output or resume or "weights.npz"
    weights.check_output(path, overwrite=overwrite or path == resume)
    sinks = open_sinks(log, tensorboard)
    with working():
        if resume is None:
            text = start.load_text(corpus, encoding or "utf-8")
            settings |= {"precision": precision} if precision is not None else {}
            check_prompt(prompt or "", text)
            run = start.new_run(text, layers or "128,128", open_backend(device, threads), settings, epochs, steps)
        else:
            fixed = {"layers": layers, "encoding": encoding}
            settings |= {name: value for name, value in fixed.items() if value is not None}
            backend = open_backend(device, threads)
            text, run = start.resumed_run(resume, corpus, backend, settings, epochs, steps, precision)
            check_prompt(prompt or "", text)
        prepare(run)
    watch(run, text, path, prompt, sample_length, sinks)
