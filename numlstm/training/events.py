"""The events of a run as JSON-serialisable dicts, which logs and TensorBoard files are made from.

EVENTS. Each has `event`, its kind; `time`, seconds since 1970; and `step`, the updates made so far. Losses are in nats
per token; unknown values are None (null). Names never change; new ones may be added.

    start   step (0, or where a resumed run continues), steps and epochs (totals; no epochs if steps were requested),
            output, device, versions, parameters (how many), model and training (every setting), corpus: sources,
            digest, level, vocabulary, tokens, training_tokens, validation_tokens
    step    epoch, loss, epoch_loss (the mean of the epoch so far), gradient_norm, clipped_norm (after clipping), lr,
            tokens (predicted by this step), seconds (of this step), tokens_per_second, run_seconds (trained so far,
            over all resumes). Of runs longer than 10,000 steps, only every n-th step is logged (n = steps // 10,000)
    epoch   epoch, loss (the mean during training), val_loss, val_bits, val_perplexity, best, run_seconds
    sample  prompt, temperature, text
    gates   layer, and for each of i f g o: mean, low and high (fractions near the ends of its range), counts (in
            `gates.BINS` equal parts of the range)
    end     reason ("done", "stopped", "diverged", "failed"), best_loss, best_step, run_seconds

Knows nothing about files or TensorBoard.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from typing import Any

import numpy as np

from .._version import __version__
from ..monitoring import gates
from ..network import parameters
from ..network.loss_units import bits, perplexity
from ..text.dataset.corpus import Corpus
from ..text.dataset.streams import AnyIds, split
from .loop import Epoch, Step
from .state import TrainingState

Event = dict[str, Any]

_MOST_STEPS = 10_000


def start(run: TrainingState, text: Corpus, output: str) -> Event:
    """Return the event that describes the run and its text."""
    training, validation = split(text.ids, run.config.val_split)
    record = run.record.corpus
    corpus = {
        "sources": list(text.sources),
        "digest": record.digest if record else text.digest,
        "level": text.vocab.level,
        "vocabulary": len(text.vocab),
        "tokens": len(text.ids),
        "training_tokens": len(training),
        "validation_tokens": len(validation),
    }
    versions = {"numlstm": __version__, "python": platform.python_version(), "numpy": np.__version__}
    return _event(
        "start",
        run.step,
        steps=run.config.steps,
        epochs=run.record.epochs,
        output=output,
        device=run.model.backend.describe(),
        versions=versions,
        parameters=parameters.count(run.model.config),
        model=run.model.config.to_dict(),
        training=run.config.to_dict(),
        corpus=corpus,
    )


def is_logged(run: TrainingState, step: Step) -> bool:
    """Return True if the step is logged."""
    return step.last or step.step % max(1, run.config.steps // _MOST_STEPS) == 0


def step(run: TrainingState, step: Step) -> Event:
    """Return the event of an update."""
    facts = dataclasses.asdict(step)
    names = ("epoch", "loss", "epoch_loss", "gradient_norm", "clipped_norm", "lr", "tokens", "seconds")
    return _event(
        "step",
        step.step,
        **{name: facts[name] for name in names},
        tokens_per_second=step.tokens / step.seconds if step.seconds > 0 else None,
        run_seconds=run.record.seconds,
    )


def epoch(run: TrainingState, epoch: Epoch) -> Event:
    """Return the event of an epoch's end."""
    loss = epoch.val_loss
    return _event(
        "epoch",
        epoch.step,
        epoch=epoch.epoch,
        loss=epoch.loss,
        val_loss=loss,
        val_bits=None if loss is None else bits(loss),
        val_perplexity=None if loss is None else perplexity(loss),
        best=epoch.best,
        run_seconds=run.record.seconds,
    )


def sample(run: TrainingState, prompt: str, temperature: float, text: str) -> Event:
    """Return the event of a text that the network wrote."""
    return _event("sample", run.step, prompt=prompt, temperature=temperature, text=text)


def gate_counts(run: TrainingState, ids: AnyIds) -> list[Event]:
    """Return an event per layer: how far its gates open while the network reads `ids (N,)`; none if N is below 2."""
    return [
        _event("gates", run.step, layer=layer, **found)
        for layer, found in enumerate(gates.gate_statistics(run.evaluation_model(), ids))
    ]


def end(run: TrainingState, reason: str) -> Event:
    """Return the event of a run's end, with the reason."""
    record = run.record
    facts = {"best_loss": record.best_loss, "best_step": record.best_step, "run_seconds": record.seconds}
    return _event("end", run.step, reason=reason, **facts)


def _event(kind: str, step: int, **facts: Any) -> Event:
    return {"event": kind, "time": round(time.time(), 3), "step": step, **facts}
