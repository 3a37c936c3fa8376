"""Run the training of `numlstm train`: progress, saves, and stops by Ctrl-C or a time limit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import typer
from rich.console import Console

from ...training.loop import Epoch, Step, step_options
from ...training.optimizers import Optimizer
from ...training.run import Event, Run
from ...training.state import TrainingState
from ...training.stopping import stop_asked
from ..shared.options import stderr
from ..shared.wording import as_options
from ..shared.work_progress import spinner
from .advising import Adviser
from .progress import Watch, show_start


def watch(run: Run, *, device: str, deadline: float | None = None) -> None:
    """Train and show the progress until the run is finished or the user or the deadline stops it.

    `device` describes the device; `deadline` is a time of `time.monotonic`. Exits with 130 if the user stopped the run.
    Raises `DivergedError`, which says what was saved, and `WeightsError` if the last save fails.
    """
    console, path = stderr(), run.output or ""
    run.warn = lambda line: console.print(as_options(line), style="red", markup=False)
    run.around_samples = lambda: spinner(console=console)
    show_start(console, run.state, run.text, path, device)
    with stop_asked(deadline) as stop:  # until the run is saved, since Ctrl-C may come again
        try:
            with Watch(console, run.state, run.text) as shown, contextlib.closing(run.events(stop)) as events:
                _show(Adviser(run.state, run.text, console).follow(events), shown)
        except (OSError, SystemExit):  # raised by rich if the pipe or terminal is gone
            run.keep()
            raise
        except KeyboardInterrupt:
            console.print(f"stopped immediately; {run.saved_state_line()}", markup=False)
            raise
    if not run.finished:
        why = "stopped" if stop.by_user else "time limit reached: stopped"
        console.print(f"{why} and saved at step {run.step:,}; resume with: numlstm train --resume {path}", markup=False)
        raise typer.Exit(130 if stop.by_user else 0)
    _print_summary(console, run.state, path)


def _show(events: Iterator[Event], shown: Watch) -> None:
    for event in events:
        if isinstance(event, Step):
            shown.step(event)
        elif isinstance(event, Epoch):
            shown.epoch(event)
        else:
            shown.samples(event.prompt, event.texts)


def _print_summary(console: Console, run: TrainingState, path: str) -> None:
    best = run.record.best_loss
    quality = f", validation loss {best:.4f} nats at step {run.record.best_step:,}" if best is not None else ""
    how = f"stopped early after {run.config.patience} epochs without improvement" if run.out_of_patience else "done"
    console.print(f"{how}{quality}; write with: numlstm gen {path}", markup=False)


def report_if_finished(run: TrainingState, path: str) -> bool:
    """Return True if the run is complete; print that, and how to continue."""
    if not run.complete:
        return False
    console = stderr()
    if run.out_of_patience:
        more = f"--patience above {run.record.stale_epochs}"
    else:
        more = f"--epochs or --steps for more than the {run.step:,} steps done"
    console.print(f"{path} is finished and was not changed; to continue, give {more}", markup=False)
    _print_summary(console, run, path)
    return True


def prepare(run: TrainingState) -> None:
    """Load or compile the training kernels before timing starts."""
    model = run.model
    nothing = model.backend.asarray(np.zeros((1, run.config.batch_size), np.int32))
    loss, _ = model.gradients_(nothing, nothing, **step_options(run))
    float(loss)  # waits for the device
    backend, dtype = model.backend, model.config.dtype
    flat, grads = backend.zeros(1, dtype), backend.zeros(1, dtype)
    Optimizer.start(run.config, backend, 1, dtype).update_(backend, flat, grads, run.config, 0)
    if run.average:
        backend.approach_(flat, grads, 0.5)
