"""Train the same small network in float32 and in bf16 and print the losses as JSON.

`test_precision.py` runs this in its own process, because NUMLSTM_BF16 decides what is compiled.
"""

from __future__ import annotations

import json
import sys

from numlstm.backends import registry
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.network.evaluate import evaluate
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.dataset.streams import split
from numlstm.text.sources.python_library import python_source
from numlstm.text.vocab.char import CharVocab
from numlstm.training.loop import train
from numlstm.training.state import TrainingState

LAYERS = (96, 64)
STEPS = 160


def new_run(text: str, precision: str, device: str) -> TrainingState:
    vocab = CharVocab.from_text(text)
    model_config = NetworkSettings(len(vocab), LAYERS)
    config = TrainingSettings(steps=STEPS, batch_size=16, seq_len=32, warmup_steps=10, precision=precision)
    flat = parameters.initialise(model_config, config.seed)
    return TrainingState.start(
        Model(model_config, flat, registry.load(device), vocab=vocab, precision=precision), config
    )


def finish(run: TrainingState, text: str) -> dict[str, float]:
    """Train to the end; return the last validation loss, and the loss of the same weights computed in float32."""
    train_ids, val_ids = split(run.model.vocab.encode(text), run.config.val_split)
    for _ in train(run, train_ids, val_ids):
        pass
    in_float32 = Model(run.model.config, run.model.flat, run.model.backend, vocab=run.model.vocab)
    return {"own": run.record.history[-1][2], "in_float32": evaluate(in_float32, val_ids, streams=32)}


def resumed_at(text: str, stop: int, whole: TrainingState) -> bool:
    """Return True if a bf16 run stopped at `stop` and resumed ends with the same bits as the uninterrupted one."""
    first = new_run(text, "bf16", "cpu")
    events = train(first, *split(first.model.vocab.encode(text), first.config.val_split))
    while first.step < stop:
        next(events)
    second = TrainingState.resume(first.to_file(), first.model.backend)
    assert second.model.precision == "bf16"
    finish(second, text)
    return all(
        second.model.backend.to_numpy(a).tobytes() == whole.model.backend.to_numpy(b).tobytes()
        for a, b in ((second.model.flat, whole.model.flat), (second.optimizer.slots["m"], whole.optimizer.slots["m"]))
    )


def main() -> None:
    text = python_source()[:60_000]
    single, half = (new_run(text, precision, "cpu") for precision in ("float32", "bf16"))
    losses = {"float32": finish(single, text), "bf16": finish(half, text)}
    json.dump({**losses, "same_bits": resumed_at(text, STEPS // 2 + 1, half)}, sys.stdout)


if __name__ == "__main__":
    main()
