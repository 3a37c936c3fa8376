"""The training loop: truncated backpropagation through time over parallel streams with carried state, or over windows.

`train` yields the result of each step; between two steps, `TrainingState` holds everything that an exact resume
needs. Printing and saving are left to the caller. (BPTT: Werbos 1990; truncated: Williams & Peng 1990.)
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..backends.protocol import Number
from ..backends.spec.dropout import Dropout
from ..backends.spec.gradients import Scaling
from ..errors import DivergedError
from ..network.evaluate import evaluate
from ..text.dataset.streams import AnyIds, Batches
from .data_feed import Feed
from .optimizers import FUSED, Norms, learning_rate
from .record import EpochResult
from .state import TrainingState, batches, check_validation, find_place

_EVALUATION_STREAMS = 32
_READING_SECONDS = 0.1  # how often results are read from a device that queues its work
_HALVINGS = math.log2(Scaling.MOST / Scaling.LEAST)  # of a loss scale, at most, until it reaches its minimum
_LOSSES = 2000  # epochs in a history: with 170,000 of them the file would be too large to save


@dataclasses.dataclass(frozen=True)
class Step:
    """The result of one update: losses in nats per token, `tokens` predicted, `seconds` taken.

    `epoch_loss` is the mean over the epoch so far; `gradient_norm` is before clipping and `clipped_norm` after. An
    `Epoch` follows the `last` step of an epoch or of the run.
    """

    step: int
    epoch: int
    loss: float
    epoch_loss: float
    gradient_norm: float
    clipped_norm: float
    lr: float
    tokens: int
    seconds: float
    last: bool


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The result of an epoch, or of the partial epoch at the end of a run: losses in nats per token.

    `val_loss` is None without validation text. `best` is True if it is the lowest so far, `whole` if the epoch was
    completed.
    """

    step: int
    epoch: int
    loss: float
    val_loss: float | None
    best: bool
    whole: bool = True


Progress = Step | Epoch


def train(run: TrainingState, train_ids: AnyIds, val_ids: AnyIds) -> Iterator[Progress]:
    """Train from `run.step` to `run.config.steps`; `run` can be saved at every yield.

    Yields a `Step` after each update and an `Epoch` at the end of each epoch and of the run. If the device queues its
    work, the results of several updates are read together, about ten times a second: their `Step`s are then yielded
    in a row, while `run` is already at the last of them. Each step predicts every position of one window of `seq_len`
    tokens in `batch_size` streams. The state is zero at the start of an epoch, and of every window if windows are
    drawn at random. A run that was saved before its epoch was validated is validated first.

    Raises `CorpusError` if the text is too short, `ConfigError` if a setting needs validation text and there is none,
    and `DivergedError` if the loss or the gradient is no longer finite: `run` must not be saved then.
    """
    config, reader = run.config, batches(train_ids, run.config)
    find_place(run, reader)
    check_validation(config, val_ids)
    feed, most = Feed(reader, run.model.backend, run.model.config.vocab_size), 1
    while True:
        if _at_an_end(run, reader) and not run.epoch_recorded:
            yield _end_epoch(run, reader, val_ids)
        if run.finished:
            return
        steps = _steps(run, reader, feed, most)
        if run.model.backend.queued:
            most = max(1, min(2 * most, round(_READING_SECONDS / steps[-1].seconds)))
        yield from steps


def _at_an_end(run: TrainingState, reader: Batches) -> bool:
    return run.step > 0 and (run.record.position >= reader.size or run.step == run.config.steps)


def _steps(run: TrainingState, reader: Batches, feed: Feed, most: int) -> list[Step]:
    """Make at most `most` steps, up to the epoch's end, and return their results."""
    started = time.perf_counter()
    made: list[_Made] = []
    while len(made) < most and not (made and made[-1].last):
        made.append(_make(run, reader, feed))
    losses = [float(each.loss) for each in made]  # waits for the device
    norms = [each.norms.read(run.config.clip) for each in made]
    seconds = (time.perf_counter() - started) / len(made)
    steps = []
    for each, loss, (before, clipped) in zip(made, losses, norms, strict=True):
        record = run.record
        if run.loss_scale is not None:
            record.left_out = 0 if math.isfinite(before) else record.left_out + 1
        _check_finite(run, each.step, loss, before)
        if each.begins:
            record.epoch_loss, record.epoch_tokens = 0.0, 0
        record.epoch_loss += loss * each.tokens
        record.epoch_tokens += each.tokens
        record.seconds += seconds
        mean = record.epoch_loss / record.epoch_tokens
        steps.append(Step(each.step, each.epoch, loss, mean, before, clipped, each.lr, each.tokens, seconds, each.last))
    return steps


class _Made(NamedTuple):
    """A step handed to the device. `step` and `epoch` count from 1; `begins` and `last` mark an epoch's two ends."""

    step: int
    epoch: int
    loss: Number
    norms: Norms
    lr: float
    tokens: int
    begins: bool
    last: bool


def _make(run: TrainingState, reader: Batches, feed: Feed) -> _Made:
    record, config, model = run.record, run.config, run.model
    if record.position >= reader.size:
        record.epoch, record.position = record.epoch + 1, 0
    begins = record.position == 0
    if begins:
        run.carried = model.zero_state(config.batch_size)
    elif config.reset_state and reader.carries:
        _reset_(run)
    x, y, after = feed.batch(record.epoch, record.position)
    loss, carried = model.gradients_(x, y, run.carried, **step_options(run))
    if reader.carries:
        run.carried = carried
    # With several processes, `run.model.grads` would be averaged here.
    reductions = record.plateau.reductions
    optimizer, packed = run.optimizer, model.packed if config.optimizer in FUSED else ()
    norms = optimizer.update_(
        model.backend,
        model.flat,
        model.grads,
        config,
        run.step,
        packed,
        reductions=reductions,
        loss_scale=run.loss_scale,
    )
    if not packed:
        model.pack()
    if run.average:
        run.average.update_(model, config.average)
    run.step += 1
    record.position = after
    tokens, last = x.shape[0] * x.shape[1], _at_an_end(run, reader)
    lr = learning_rate(config, run.step - 1, reductions)
    return _Made(run.step, record.epoch + 1, loss, norms, lr, tokens, begins, last)


def _check_finite(run: TrainingState, step: int, loss: float, norm: float) -> None:
    """Raise `DivergedError` if a step's loss is not finite, or if its gradient's norm is not.

    With a loss scale, an infinite norm may only mean that the scale is too high. That ends after `_HALVINGS` skipped
    updates in a row, when the scale is at its minimum.
    """
    config, scaled = run.config, run.loss_scale is not None
    if math.isfinite(loss) and (math.isfinite(norm) or (scaled and run.record.left_out <= _HALVINGS)):
        return
    other = ", or use `precision` float32" if scaled else ""
    raise DivergedError(
        f"at step {step} the loss is {loss:g} and the gradient's norm {norm:g}; expected finite "
        f"numbers: lower `lr` (now {config.lr:g}) or `clip` (now {config.clip:g}){other}"
    )


def _reset_(run: TrainingState) -> None:
    """Zero the carried state of some streams, chosen at random from the seed and the step."""
    generator = np.random.Generator(np.random.Philox(key=[run.config.seed, run.step]))
    for row in np.flatnonzero(generator.random(run.config.batch_size) < run.config.reset_state).tolist():
        for h, c in run.carried:
            h[row : row + 1] = 0
            c[row : row + 1] = 0


def step_options(run: TrainingState) -> dict[str, Any]:
    """Return the dropout and loss scale arguments of `Model.gradients_` for the next step."""
    config = run.config
    options = {} if run.loss_scale is None else {"loss_scale": run.loss_scale}
    if config.dropout or config.recurrent_dropout:
        options["dropout"] = Dropout(config.dropout, config.recurrent_dropout, config.seed, run.step)
    return options


def _end_epoch(run: TrainingState, reader: Batches, val_ids: AnyIds) -> Epoch:
    started = time.perf_counter()
    after = dataclasses.replace(run.record)
    record, whole = run.record, run.record.position >= reader.size
    loss = record.epoch_loss / record.epoch_tokens
    val_loss: float | None = None
    best = False
    if len(val_ids) > 1:
        evaluation_model = run.evaluation_model()
        val_loss = evaluate(evaluation_model, val_ids, streams=_EVALUATION_STREAMS)
        if not math.isfinite(val_loss):
            raise DivergedError(f"at step {run.step} the validation loss is {val_loss:g}; expected a finite number")
        best = record.best_loss is None or val_loss < record.best_loss
        if whole:
            after.plateau = record.plateau.after(val_loss, run.config.plateau_patience)
            after.stale_epochs += 1
    if best:
        run.best[...] = evaluation_model.flat
        after.best_loss, after.best_step, after.stale_epochs = val_loss, run.step, 0
    after.history = _thinned([*record.history, EpochResult(run.step, loss, val_loss)])
    after.seconds += time.perf_counter() - started
    run.record = after  # in one assignment: Ctrl-C may come at any moment here
    return Epoch(run.step, record.epoch + 1, loss, val_loss, best, whole)


def _thinned(history: list[EpochResult]) -> list[EpochResult]:
    """Drop every other result from the older half of a history that is too long."""
    half = _LOSSES // 2
    return history if len(history) <= _LOSSES else history[:half:2] + history[half:]
