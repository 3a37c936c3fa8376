"""`numlstm train`: train a model on a text, watch it learn, keep what it learned."""

from __future__ import annotations

import dataclasses
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..config import TrainConfig
from ..errors import ConfigError, CorpusError, DivergedError, WeightsError
from .options import Device, Threads, open_backend

if TYPE_CHECKING:
    from ..text.corpus import Corpus
    from ..train import Run
    from .progress import Watch

SAVE_SECONDS = 60.0  # the longest time between two saves
SAMPLE_TEMPERATURES = (0.0, 0.25, 0.5, 0.75)


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
            help="How often to go through the text.  [dim]\\[default: 4 to 60, by its length][/dim]",
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
    from . import start

    path = output or resume or "weights.npz"
    _check_output(path, overwrite or path == resume)
    if resume is None:
        text = _load_text(corpus, encoding or "utf-8")
        run = start.new_run(text, layers or "128,128", open_backend(device, threads), settings, epochs, steps)
    else:
        settings |= {name: value for name, value in (("layers", layers), ("encoding", encoding)) if value is not None}
        text, run = start.resumed_run(resume, corpus, open_backend(device, threads), settings, epochs, steps)
    _watch(run, text, path, prompt, sample_length)


def _load_text(corpus: list[str] | None, encoding: str) -> Corpus:
    from ..text.corpus import corpus_names, load_corpus

    if not corpus:
        names = ", ".join(corpus_names())
        raise CorpusError(
            f"no text was given; expected a corpus name ({names}), files, folders, globs or -: "
            "numlstm train corpus.txt, or numlstm train python"
        )
    return load_corpus(corpus, encoding=encoding)


def _check_output(path: str, overwrite: bool) -> None:
    from .. import weights

    weights.check_output(path, overwrite=overwrite)


def _watch(run: Run, text: Corpus, path: str, prompt: str | None, sample_length: int) -> None:
    """Train to the end, or until the user stops it, showing and saving what comes."""
    from .options import stderr
    from .progress import Watch, show_start

    console = stderr()
    ids = run.model.vocab.encode(prompt) if prompt else _prompt_line(text)
    show_start(console, run, text, path)
    _compile(run, console)
    saver = _Saver(run, path)
    with Watch(console, run, text) as watch, _stop_asked() as stop:
        _train(run, text, saver, watch, stop, run.model.vocab.decode(ids), sample_length)
    saver.save_or_rescue()
    if run.step < run.config.steps:
        console.print(
            f"stopped and saved at step {run.step:,}; go on with: numlstm train --resume {path}", markup=False
        )
        raise typer.Exit(130)
    best = run.record["best_loss"]
    quality = f", validation loss {best:.4f} nats at step {run.record['best_step']:,}" if best is not None else ""
    console.print(f"done{quality}; write with: numlstm gen {path}", markup=False)


def _train(run: Run, text: Corpus, saver: _Saver, watch: Watch, stop: _Stop, prompt: str, sample_length: int) -> None:
    from ..text.batches import split
    from ..train import Epoch
    from ..train import train as progress

    try:
        for event in progress(run, *split(text.ids, run.config.val_split)):
            if isinstance(event, Epoch):
                watch.epoch(event)
                saver.save(watch)
                if sample_length:
                    watch.samples(prompt, _samples(run, prompt, sample_length))
            else:
                watch.step(event)
                if saver.due():
                    saver.save(watch)
            if stop.asked:
                return
            # Validation changes nothing that a later run could not make up for: it may be stopped in the middle.
            stop.at_once = not isinstance(event, Epoch) and event.last
    except DivergedError as error:
        raise DivergedError(f"{error}; {saver.what_is_kept()}") from None
    except KeyboardInterrupt:
        if not stop.at_once:
            raise


class _Saver:
    """Writes the run to its file now and then, and remembers when."""

    def __init__(self, run: Run, path: str) -> None:
        self.run, self.path = run, path
        self.last, self.step = time.monotonic(), -1

    def due(self) -> bool:
        return time.monotonic() - self.last > SAVE_SECONDS

    def save(self, watch: Watch) -> None:
        """Save; a failure is told, and training goes on: there may be room by the next time."""
        self.last = time.monotonic()
        try:
            self._write(self.path)
        except WeightsError as error:
            watch.console.print(f"not saved: {error}", style="red", markup=False)

    def save_or_rescue(self) -> None:
        """Save, if need be to the folder for temporary files; raises `WeightsError` that says where."""
        if self.step == self.run.step:
            return
        try:
            self._write(self.path)
        except WeightsError as error:
            rescue = Path(tempfile.mkdtemp(prefix="numlstm-")) / Path(self.path).name
            self._write(str(rescue))
            raise WeightsError(f"{error}; the run was saved to {rescue} instead") from None

    def what_is_kept(self) -> str:
        return f"{self.path} holds step {self.step:,}" if self.step >= 0 else "nothing had been saved yet"

    def _write(self, path: str) -> None:
        from .. import weights

        weights.save(path, self.run.to_file())
        self.step = self.run.step


def _compile(run: Run, console: Any) -> None:
    """Have the kernels compiled before the clock starts: the first time on a machine this takes a while."""
    import numpy as np

    started = time.monotonic()
    with console.status("preparing the kernels: compiled once, then kept"):
        model = run.model
        nothing = np.zeros((1, 1), np.int32)
        model.gradients_(nothing, nothing)
        arrays = [model.backend.zeros(1, model.config.dtype) for _ in range(4)]
        model.backend.adam_(*arrays, step=1, lr=0.1, beta1=0.9, beta2=0.9, epsilon=0.1, scale=1.0)
        model.backend.global_norm(arrays[0])
    seconds = time.monotonic() - started
    if seconds > 2:
        console.print(f"kernels compiled in {seconds:.0f} s; they are kept for the next time\n")


def _prompt_line(text: Corpus) -> Any:
    """Return the ids of the first whole line of the validation text, up to 40 characters."""
    from ..text.batches import split

    _, val = split(text.ids, 0.1)
    tail = text.vocab.decode(val[:2000]) or text.vocab.decode(text.ids[:2000])
    lines = [line for line in tail.split("\n")[1:] if len(line) > 8] or [tail]
    return text.vocab.encode(lines[0][:40])


def _samples(run: Run, prompt: str, length: int) -> dict[float, str]:
    return {
        temperature: run.model.generate(prompt, length=length, temperature=temperature, seed=run.config.seed)
        for temperature in SAMPLE_TEMPERATURES
    }


@dataclasses.dataclass
class _Stop:
    """Whether the user has asked for a stop, and whether the moment allows to stop at once."""

    asked: bool = False
    at_once: bool = False


@contextmanager
def _stop_asked() -> Iterator[_Stop]:
    """Let Ctrl-C and SIGTERM ask for a stop after the step under way; asked a second time, stop at once."""
    stop = _Stop()

    def ask(number: int, frame: Any) -> None:
        if stop.asked or stop.at_once:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
