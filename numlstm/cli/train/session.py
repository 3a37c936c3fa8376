"""A run on the command line: watched, saved now and then, stopped by Ctrl-C or the clock, and never lost."""

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
from ..shared.work_progress import working
from .advising import Adviser
from .progress import Watch, show_start


def watch(run: Run, *, device: str, deadline: float | None = None) -> None:
    """Train to the end, or until the user or the clock stops it, showing what comes.

    `device` is the device in words, `deadline` a time of `time.monotonic`. Exits with 130 if the user stopped it.
    Raises `DivergedError`, with what is kept, and `WeightsError` if the last save fails.
    """
    console, path = stderr(), run.output or ""
    run.warn = lambda line: console.print(as_options(line), style="red", markup=False)
    run.around_samples = lambda: working(console=console)
    show_start(console, run.state, run.text, path, device)
    with stop_asked(deadline) as stop:  # until the run is saved: the signal may come again
        try:
            with Watch(console, run.state, run.text) as shown, contextlib.closing(run.events(stop)) as events:
                _show(Adviser(run.state, run.text, console).follow(events), shown)
        except (OSError, SystemExit):  # what rich makes of a pipe or terminal that is gone
            run.keep()
            raise
        except KeyboardInterrupt:
            console.print(f"stopped at once; {run.what_is_kept()}", markup=False)
            raise
    if not run.finished:
        why = "stopped" if stop.by_user else "time is up: stopped"
        console.print(f"{why} and saved at step {run.step:,}; go on with: numlstm train --resume {path}", markup=False)
        raise typer.Exit(130 if stop.by_user else 0)
    _say_done(console, run.state, path)


def _show(events: Iterator[Event], shown: Watch) -> None:
    for event in events:
        if isinstance(event, Step):
            shown.step(event)
        elif isinstance(event, Epoch):
            shown.epoch(event)
        else:
            shown.samples(event.prompt, event.texts)


def _say_done(console: Console, run: TrainingState, path: str) -> None:
    best = run.record.best_loss
    quality = f", validation loss {best:.4f} nats at step {run.record.best_step:,}" if best is not None else ""
    how = f"stopped early after {run.config.patience} epochs that were no better" if run.out_of_patience else "done"
    console.print(f"{how}{quality}; write with: numlstm gen {path}", markup=False)


def nothing_left(run: TrainingState, path: str) -> bool:
    """Return whether the run is complete; if it is, say so, and how to go on."""
    if not run.complete:
        return False
    console = stderr()
    if run.out_of_patience:
        more = f"--patience above {run.record.stale_epochs}"
    else:
        more = f"--epochs or --steps with more than the {run.step:,} steps that are made"
    console.print(f"{path} is finished, and nothing was changed; to go on give {more}", markup=False)
    _say_done(console, run, path)
    return True


def prepare(run: TrainingState) -> None:
    """Have the kernels of training loaded or compiled before the clock starts."""
    model = run.model
    nothing = model.backend.asarray(np.zeros((1, run.config.batch_size), np.int32))
    loss, _ = model.gradients_(nothing, nothing, **step_options(run))
    float(loss)  # waits for the device
    backend, dtype = model.backend, model.config.dtype
    flat, grads = backend.zeros(1, dtype), backend.zeros(1, dtype)
    Optimizer.start(run.config, backend, 1, dtype).update_(backend, flat, grads, run.config, 0)
    if run.average:
        backend.approach_(flat, grads, 0.5)
