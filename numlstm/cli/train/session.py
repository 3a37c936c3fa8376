"""Run the training of `numlstm train`: progress, saves, and stops by Ctrl-C or a time limit."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from collections.abc import Iterator

import numpy as np
import typer
from rich.console import Console

from ...network.evaluate import evaluate
from ...training.loop import Epoch, Step, step_options
from ...training.optimizers import Optimizer
from ...training.run import Event, Run
from ...training.samples import write
from ...training.state import TrainingState
from ...training.stopping import stop_asked
from ..shared.options import stderr
from ..shared.wording import as_options, counted
from ..shared.work_progress import spinner
from .advising import Adviser
from .progress import Watch, clock, nats_and_bits, show_start


def watch(run: Run, *, device: str, deadline: float | None = None, quiet: bool = False, verbose: bool = False) -> None:
    """Train and show the progress until the run is finished or the user or the deadline stops it.

    `device` describes the device; `deadline` is a time of `time.monotonic`. With `quiet`, prints only what went wrong
    and how a stopped run can be resumed; with `verbose`, also the shapes of the network's arrays. Exits with 130 if the
    user stopped the run. Raises `DivergedError`, which says what was saved, and `WeightsError` if the last save fails.
    """
    console, path, began, first = stderr(), run.output or "", time.monotonic(), run.step
    progress = stderr(quiet=quiet)
    run.warn = lambda line: console.print(as_options(line), style="red", markup=False)
    run.around_samples = lambda: spinner(console=progress)
    show_start(progress, run.state, run.text, path, device, shapes=verbose)
    with stop_asked(deadline) as stop:  # until the run is saved, since Ctrl-C may come again
        try:
            with Watch(progress, run.state, run.text) as shown, contextlib.closing(run.events(stop)) as events:
                _show(Adviser(run.state, run.text, progress).follow(events), shown)
        except (OSError, SystemExit):  # raised by rich if the pipe or terminal is gone
            run.keep()
            raise
        except KeyboardInterrupt:
            console.print(f"stopped immediately; {run.saved_state_line()}", markup=False)
            raise typer.Exit(130) from None
    if not run.finished:
        why = "stopped" if stop.by_user else "time limit reached: stopped"
        again = shlex.join(["numlstm", "train", "--resume", path])
        console.print(f"{why} and saved at step {run.step:,}; resume with: {again}", markup=False)
        raise typer.Exit(130 if stop.by_user else 0)
    tokens = (run.step - first) * run.settings.batch_size * run.settings.seq_len
    _print_summary(progress, run.state, path, tokens, time.monotonic() - began)


def _show(events: Iterator[Event], shown: Watch) -> None:
    for event in events:
        if isinstance(event, Step):
            shown.step(event)
        elif isinstance(event, Epoch):
            shown.epoch(event)
        else:
            shown.samples(event)


def _print_summary(console: Console, run: TrainingState, path: str, tokens: int, seconds: float) -> None:
    unit = run.model.vocab.unit if run.model.vocab else "token"
    patience = counted(run.config.patience, "epoch")
    how = f"stopped early, after {patience} without a lower validation loss" if run.out_of_patience else "done"
    if run.record.best_loss is not None and run.record.best_loss >= math.log(run.model.config.vocab_size):
        how = "ended without having learned anything"
    console.print(f"{how} in {clock(seconds)} ({tokens / max(seconds, 1e-9):,.0f} {unit}s/s)", markup=False)
    if run.record.best_loss is not None:
        loss = nats_and_bits(run.record.best_loss, unit)
        console.print(f"best: validation {loss}, at step {run.record.best_step:,}; its weights are saved")
    console.print(f"write with: {shlex.join(['numlstm', 'gen', path])}", markup=False)


def report_if_finished(run: TrainingState, path: str) -> bool:
    """Return True if the run is complete; print that, and how to continue."""
    if not run.complete:
        return False
    console = stderr()
    epochs = run.record.epochs
    if run.out_of_patience:
        done, more = "had stopped early", f"--patience {2 * run.record.stale_epochs}"
    elif epochs:
        done, more = f"has finished its {counted(epochs, 'epoch')} ({run.step:,} steps)", f"--epochs {2 * epochs}"
    else:
        done, more = f"has finished its {counted(run.step, 'step')}", f"--steps {2 * run.step}"
    again = shlex.join(["numlstm", "train", "--resume", path])
    console.print(f"{path} {done} and was not changed; to train it further: {again} {more}", markup=False)
    return True


def prepare(run: TrainingState, *, samples: bool) -> None:
    """Load or compile the kernels for training, validation and `samples` before timing starts."""
    model = run.model
    nothing = model.backend.asarray(np.zeros((1, run.config.batch_size), np.int32))
    loss, _ = model.gradients_(nothing, nothing, **step_options(run))
    float(loss)  # waits for the device
    backend, dtype = model.backend, model.config.dtype
    flat, grads = backend.zeros(1, dtype), backend.zeros(1, dtype)
    Optimizer.start(run.config, backend, 1, dtype).update_(backend, flat, grads, run.config, 0)
    if run.average:
        backend.approach_(flat, grads, 0.5)
    evaluate(model, np.zeros(2, np.int32))
    if samples:
        write(run, "", 2)
