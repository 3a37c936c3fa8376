"""Show the progress of training: a progress bar on a terminal, else plain lines."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from ...text.dataset.corpus import Corpus
from ...training.loop import Epoch, Step
from ...training.samples import Samples
from ...training.setup import streams
from ...training.state import TrainingState, epochs_in
from ..shared.network_summary import format_symbols, network_line, printable, shape_table
from ..shared.wording import counted

_PLAIN_SECONDS = 15.0  # between two lines without a terminal
_RECENT = 0.95  # weight of the past in the loss and the speed shown


class Watch:
    """Context manager that shows the progress of a run. The progress bar disappears at its end."""

    def __init__(self, console: Console, run: TrainingState, text: Corpus) -> None:
        self.console, self.run = console, run
        self.reader = streams(text, run.config)
        self.unit = text.vocab.unit
        self.tokens_per_step = run.config.batch_size * run.config.seq_len
        self.began, self.first_step, self.last_line = time.monotonic(), run.step, time.monotonic()
        self.loss = self.seconds = math.nan
        self.val_loss: float | None = run.record.best_loss
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.fields[facts]}"))
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = TaskID(0)

    def __enter__(self) -> Watch:
        self.bar.start()
        self.task = self.bar.add_task("", total=self.run.config.steps, completed=self.run.step, facts="")
        self.began = self.last_line = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def step(self, step: Step) -> None:
        """Show a step."""
        known = not math.isnan(self.loss)
        self.loss = _RECENT * self.loss + (1 - _RECENT) * step.loss if known else step.loss
        self.seconds = _RECENT * self.seconds + (1 - _RECENT) * step.seconds if known else step.seconds
        place = self._place(step)
        room = self.console.width - len(place) - 18  # the bar, and a space on each side
        facts = "validating" if step.last else fitting(self._facts(step), room)
        self.bar.update(self.task, completed=step.step, description=place, facts=facts)
        plain = not (step.last or self.console.is_terminal)  # the epoch's line follows its last step
        if plain and time.monotonic() - self.last_line > _PLAIN_SECONDS:
            self.last_line = time.monotonic()
            self.console.print(f"{place}  {'  '.join(self._facts(step))}")

    def epoch(self, epoch: Epoch) -> None:
        """Show the result of an epoch, or of a run that ended within one."""
        self.last_line = time.monotonic()
        line = f"{self._place(epoch)}  loss {epoch.loss:.4f}"
        if epoch.val_loss is not None:
            self.val_loss = epoch.val_loss
            best = "  [green]best so far[/green]" if epoch.best else ""
            line += f"  validation {nats_and_bits(epoch.val_loss, self.unit)}{best}"
        self.console.print(line)

    def samples(self, samples: Samples) -> None:
        """Show what the model wrote, at each temperature, to continue the prompt."""
        self.console.print(f"\nsamples that continue “{printable(samples.prompt)}”", markup=False, style="dim")
        table = Table.grid(padding=(0, 1))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for temperature, text in samples.texts.items():
            table.add_row(f"  temperature {temperature:<4g}", Text(printable(text)))
        self.console.print(table)
        self.console.print()

    def _place(self, step: Step | Epoch) -> str:
        return f"epoch {step.epoch}/{epochs_in(self.run, self.reader)}"

    def _facts(self, step: Step) -> list[str]:
        """Return what is known after a step, the most important first."""
        facts = [
            f"{100 * step.step // max(1, self.run.config.steps)} %",
            f"{clock(self._left())} left",
            f"loss {self.loss:.3f}",
            f"{self.tokens_per_step / self.seconds:,.0f} {self.unit}s/s",
            f"step {step.step:,}/{self.run.config.steps:,}",
        ]
        if self.val_loss is not None:
            facts.insert(3, f"validation {self.val_loss:.3f}")
        return facts

    def _left(self) -> float:
        """Estimate the seconds left from the pace so far, validation and samples included."""
        done = self.run.step - self.first_step
        return (self.run.config.steps - self.run.step) * (time.monotonic() - self.began) / max(1, done)


def fitting(facts: Sequence[str], width: int) -> str:
    """Return as many of the first facts as fit in `width` characters, and at least one."""
    line = facts[0]
    for fact in facts[1:]:
        if len(line) + 2 + len(fact) > width:
            break
        line += f"  {fact}"
    return line


def show_start(
    console: Console, run: TrainingState, text: Corpus, path: str, device: str, *, shapes: bool = False
) -> None:
    """Print the text, network, device and settings of a run; `device` describes the device.

    With `shapes`, prints a table of each layer's shapes and parameters.
    """
    config = run.config
    parts = streams(text, config)
    training, unit = len(parts.ids), text.vocab.unit
    console.print(
        f"text        {len(text.ids):,} {unit}s, {len(text.vocab):,} distinct: {format_symbols(text.vocab)}",
        markup=False,
        soft_wrap=True,
    )
    if text.unknown:
        share = f"{100 * text.unknown / len(text.ids):.2g} %"
        console.print(
            f"            {text.unknown:,} ({share}) are words outside the vocabulary, read as <unk>", markup=False
        )
    console.print(f"            {training:,} to train on, {len(text.ids) - training:,} to validate on")
    console.print(f"network     {network_line(run.model.config)}", markup=False)
    if shapes:
        console.print(shape_table(run.model.config))
    name, mark, reason = device.partition("; ")
    console.print(f"device      {name}{_products(run)}{mark}{reason}", markup=False, soft_wrap=True)
    begins = f", from step {run.step:,}" if run.step else ""
    epochs = epochs_in(run, parts) if run.step else config.steps / parts.steps_per_epoch
    whole = f"{epochs:.1f}".removesuffix(".0")
    length = f"{whole} epoch{'s' * (whole != '1')}" if epochs >= 1 else f"{100 * epochs:.0f} % of an epoch"
    console.print(f"run         {length}, {counted(config.steps, 'step')}{begins}", markup=False)
    console.print(
        f"            {config.batch_size} {config.batching} × {config.seq_len} {unit}s a step, {config.optimizer}, "
        f"learning rate {config.lr:g}",
        markup=False,
    )
    console.print(f"output      {path}\n", markup=False)


def _products(run: TrainingState) -> str:
    """Describe how products are computed: "" for float32."""
    config, network, backend = run.config, run.model.config, run.model.backend
    if config.precision == "float32":
        return ""
    line = f", {config.precision} products"
    if backend.name == "cpu":
        tiles = backend.about()["tiles"]
        line += " in tiles" if tiles in ("AMX", "emulated") else f" without tiles: {tiles}"
        if network.layer_norm or network.projection or config.recurrent_dropout or network.gate_activation != "sigmoid":
            line += "; layers with layer norm, a projection, hard gates or recurrent dropout are computed in float32"
    return line


def nats_and_bits(loss: float, unit: str) -> str:
    """Return a loss in nats and in bits per token: "1.3790 nats, 1.99 bits/char"."""
    return f"{loss:.4f} nats, {loss / math.log(2):.2f} bits/{unit.removesuffix('acter')}"


def clock(seconds: float) -> str:
    """Return seconds as 3:20, or 1:03:20."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
