"""Training: truncated backpropagation through time over parallel streams, the state carried along.

`train` goes from step to step and yields what each did; between two steps the `Run` holds all that
an exact resume needs. Prints nothing and saves nothing: whoever iterates does. (BPTT: Werbos 1990; truncated:
Williams & Peng 1990.)
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any

from . import params
from .backends import Array, Backend
from .config import TrainConfig
from .errors import ConfigError, DivergedError, WeightsError
from .evaluate import evaluate
from .model import Model, State
from .optim import Adam, learning_rate
from .text.batches import AnyIds, Streams
from .weights import TrainState, WeightsFile

_EVALUATION_STREAMS = 32


@dataclasses.dataclass(frozen=True)
class Step:
    """What one update did: losses in nats per token, `tokens` predicted, `seconds` taken.

    `epoch_loss` is the mean over the epoch so far; `gradient_norm` is before clipping and `clipped_norm` after. After the `last` step of an epoch or of the run comes an `Epoch`.
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
    """What an epoch, or the part of one with which a run ends, came to: losses in nats per token.

    `val_loss` is None where there is no text to validate on; `best` says whether it is the lowest so far.
    """

    step: int
    epoch: int
    loss: float
    val_loss: float | None
    best: bool


Progress = Step | Epoch


@dataclasses.dataclass
class Run:
    """A training run between two steps. `model.flat` holds the last parameters, `best (P,)` the best ones.

    `record` is what a file keeps of the run besides: JSON values by name.
    """

    model: Model
    config: TrainConfig
    adam: Adam
    carried: State
    best: Array
    step: int = 0
    record: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def start(cls, model: Model, config: TrainConfig) -> Run:
        """Begin a run with a new network; raises `ConfigError` if that computes with another precision."""
        if model.precision != config.precision:
            raise ConfigError(
                f"precision is {config.precision}, but the network's {model.precision}; expected the same"
            )
        zeros = model.backend.zeros
        P, dtype = params.count(model.config), model.config.dtype
        record: dict[str, Any] = {
            "best_loss": None,
            "best_step": 0,
            "epoch_loss": 0.0,
            "epoch_tokens": 0,
            "seconds": 0.0,
            "history": [],
        }
        best = model.backend.asarray(model.flat)
        carried = model.zero_state(config.batch_size)
        return cls(model, config, Adam(zeros(P, dtype), zeros(P, dtype)), carried, best, 0, record)

    @classmethod
    def resume(cls, file: WeightsFile, backend: Backend, *, precision: str | None = None) -> Run:
        """Go on with the run that a file holds, from here on with another precision if one is given.

        Raises `WeightsError` if it holds none, `BackendError` if the device cannot compute with the precision.
        """
        if file.state is None:
            raise WeightsError("the file holds weights but no training state; expected one that `train` wrote")
        state, to = file.state, backend.asarray
        config = dataclasses.replace(state.config, precision=precision or state.config.precision)
        model = Model(file.config, state.params, backend, vocab=file.vocab, precision=config.precision)
        carried = [(to(h), to(c)) for h, c in zip(state.h, state.c, strict=True)]
        adam = Adam(to(state.m), to(state.v))
        return cls(model, config, adam, carried, to(file.params), state.step, dict(state.record))

    def to_file(self) -> WeightsFile:
        """Return what a weights file of this moment holds, copied from the device."""
        get = self.model.backend.to_numpy
        state = TrainState(
            config=self.config,
            step=self.step,
            params=get(self.model.flat),
            m=get(self.adam.m),
            v=get(self.adam.v),
            h=[get(h) for h, _ in self.carried],
            c=[get(c) for _, c in self.carried],
            record=dict(self.record),
        )
        names = ("best_loss", "best_step", "seconds", "history", "corpus")
        summary = {name: self.record[name] for name in names if name in self.record}
        best = get(self.best) if self.validated else state.params
        return WeightsFile(self.model.config, self.model.vocab, best, {"steps": self.step, **summary}, state)

    @property
    def validated(self) -> bool:
        """Whether a validation loss has chosen the best parameters yet; until then the last are."""
        return self.record["best_loss"] is not None


def train(run: Run, train_ids: AnyIds, val_ids: AnyIds) -> Iterator[Progress]:
    """Train from `run.step` to `run.config.steps`; whenever this yields, `run` can be saved.

    Yields a `Step` after each update and an `Epoch` at each epoch's end and the run's. Each step predicts every
    position of one window of `seq_len` tokens in `batch_size` streams. The state is zero at the start of an epoch. A
    run that was saved before its epoch was validated is validated first. Raises `CorpusError` if the text is too
    short, and `DivergedError` if the loss or the gradient is no longer finite: `run` is then not to be saved.
    """
    streams = Streams(train_ids, run.config.batch_size, run.config.seq_len)
    while True:
        if _at_an_end(run, streams) and not _told(run):
            yield _end_epoch(run, streams, val_ids)
        if run.step >= run.config.steps:
            return
        yield _step(run, streams)


def _at_an_end(run: Run, streams: Streams) -> bool:
    return run.step > 0 and (run.step % streams.steps_per_epoch == 0 or run.step == run.config.steps)


def _told(run: Run) -> bool:
    """Whether what the run came to at this step is in its history."""
    history = run.record["history"]
    return bool(history) and history[-1][0] == run.step


def _step(run: Run, streams: Streams) -> Step:
    started = time.perf_counter()
    epoch, window = divmod(run.step, streams.steps_per_epoch)
    if window == 0:
        run.carried = run.model.zero_state(run.config.batch_size)
        run.record.update(epoch_loss=0.0, epoch_tokens=0)
    ids, targets = streams.window(window)
    loss, run.carried = run.model.gradients_(ids, targets, run.carried)
    # Gradients of several processes would be averaged here, in `run.model.grads`.
    model = run.model
    norm = run.adam.update_(model.backend, model.flat, model.grads, run.config, run.step, model.packed)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise DivergedError(
            f"at step {run.step + 1} the loss is {loss:g} and the gradient's norm {norm:g}; expected finite "
            f"numbers: lower --lr (now {run.config.lr:g}) or --clip (now {run.config.clip:g})"
        )
    run.step += 1
    seconds = time.perf_counter() - started
    record = run.record
    record["epoch_loss"] += loss * ids.size
    record["epoch_tokens"] += ids.size
    record["seconds"] += seconds
    return Step(
        step=run.step,
        epoch=epoch + 1,
        loss=loss,
        epoch_loss=record["epoch_loss"] / record["epoch_tokens"],
        gradient_norm=norm,
        clipped_norm=min(norm, run.config.clip) if run.config.clip else norm,
        lr=learning_rate(run.config, run.step - 1),
        tokens=ids.size,
        seconds=seconds,
        last=_at_an_end(run, streams),
    )


def _end_epoch(run: Run, streams: Streams, val_ids: AnyIds) -> Epoch:
    started = time.perf_counter()
    loss = run.record["epoch_loss"] / run.record["epoch_tokens"]
    val_loss: float | None = None
    best = False
    if len(val_ids) > 1:
        val_loss = evaluate(run.model, val_ids, streams=_EVALUATION_STREAMS)
        if not math.isfinite(val_loss):
            raise DivergedError(f"at step {run.step} the validation loss is {val_loss:g}; expected a finite number")
        best = not run.validated or val_loss < run.record["best_loss"]
    if best:
        run.best[...] = run.model.flat
        run.record.update(best_loss=val_loss, best_step=run.step)
    run.record["history"] = [*run.record["history"], [run.step, loss, val_loss]]
    run.record["seconds"] += time.perf_counter() - started
    return Epoch(run.step, -(-run.step // streams.steps_per_epoch), loss, val_loss, best)
