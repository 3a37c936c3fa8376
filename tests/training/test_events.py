"""Each event has the fields that the module docstring lists, with the values of the run."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.dataset.streams import split
from numlstm.training import events
from numlstm.training.loop import Epoch, Step, train
from numlstm.training.state import TrainingState

TEXT = "the shore is the north\n" * 40


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8", newline="")
    return load_corpus([str(tmp_path / "t.txt")])


def begun(corpus: Corpus, **settings: float) -> TrainingState:
    config = NetworkSettings(len(corpus.vocab), (5, 4))
    model = Model(config, parameters.initialise(config, 0), registry.load("reference"), vocab=corpus.vocab)
    return TrainingState.start(model, TrainingSettings(**{"steps": 12, "batch_size": 4, "seq_len": 32, **settings}))  # type: ignore[arg-type]


@pytest.fixture
def run(corpus: Corpus) -> TrainingState:
    return begun(corpus, clip=0.01)


def steps_of(run: TrainingState, corpus: Corpus) -> list[Step]:
    return [each for each in train(run, *split(corpus.ids, 0.1)) if isinstance(each, Step)]


def promised(kind: str) -> set[str]:
    """Return the fields that the module docstring lists for an event."""
    table = re.search(rf"^    {kind}  (.*?)(?=^    \S|^\S)", events.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert table
    words = re.sub(r"\([^)]*\)|corpus:.*", "corpus" if kind == "start" else "", table[1], flags=re.DOTALL)
    return set(re.findall(r"[a-z_]{2,}", re.sub(r" of what.*| Of runs.*|, and for.*", "", words, flags=re.DOTALL)))


def test_every_event_has_the_names_that_were_promised(run: TrainingState, corpus: Corpus) -> None:
    found = {"start": events.start(run, corpus, "w.npz")}
    for progress in train(run, *split(corpus.ids, 0.1)):
        found |= (
            {"epoch": events.epoch(run, progress)}
            if isinstance(progress, Epoch)
            else {"step": events.step(run, progress)}
        )
    found["sample"] = events.sample(run, "the", 0.5, " sea")
    found["end"] = events.end(run, "done")
    for kind, event in found.items():
        assert list(event)[:3] == ["event", "time", "step"]
        assert event["event"] == kind
        json.dumps(event, allow_nan=False)
        expected = promised(kind) - {"step", "and", "every", "setting"}
        assert expected <= set(event), kind
    for event in events.gate_counts(run, corpus.ids):
        assert set(event) == {"event", "time", "step", "layer", *"ifgo"}
        assert set(event["i"]) == {"mean", "low", "high", "counts"}


def test_the_numbers_are_those_of_the_run(run: TrainingState, corpus: Corpus) -> None:
    began = events.start(run, corpus, "w.npz")
    assert began["corpus"] == {
        "sources": list(corpus.sources),
        "digest": corpus.digest,
        "level": "char",
        "vocabulary": len(corpus.vocab),
        "tokens": 920,
        "training_tokens": 828,
        "validation_tokens": 92,
    }
    assert (began["step"], began["steps"], began["output"]) == (0, 12, "w.npz")
    assert began["parameters"] == parameters.count(run.model.config)
    for progress in train(run, *split(corpus.ids, 0.1)):
        if isinstance(progress, Step):
            told = events.step(run, progress)
            assert told["gradient_norm"] > told["clipped_norm"] == pytest.approx(0.01, rel=1e-3)
            assert told["tokens_per_second"] == pytest.approx(told["tokens"] / told["seconds"])
        else:
            told = events.epoch(run, progress)
            assert told["val_bits"] == pytest.approx(told["val_loss"] / math.log(2))
            assert told["val_perplexity"] == pytest.approx(math.exp(told["val_loss"]))
    assert events.end(run, "done")["best_loss"] == run.record.best_loss


def test_without_a_bound_the_gradient_stays_as_it_is(corpus: Corpus) -> None:
    run = begun(corpus, clip=0.0)
    for step in steps_of(run, corpus):
        told = events.step(run, step)
        assert told["clipped_norm"] == told["gradient_norm"] > 0


def test_of_a_long_run_not_every_step_is_told(run: TrainingState, corpus: Corpus) -> None:
    one = steps_of(run, corpus)[0]

    def told(steps: int) -> list[int]:
        run.config = dataclasses.replace(run.config, steps=steps)
        made = [dataclasses.replace(one, step=n, last=n == 17) for n in range(1, 31)]
        return [step.step for step in made if events.is_logged(run, step)]

    assert told(10_000) == list(range(1, 31))
    assert told(70_000) == [7, 14, 17, 21, 28]


def test_an_epoch_without_validation_text(run: TrainingState, corpus: Corpus) -> None:
    run.config = dataclasses.replace(run.config, val_split=0.0)
    *_, told = (each for each in train(run, corpus.ids, corpus.ids[:0]) if isinstance(each, Epoch))
    event = events.epoch(run, told)
    assert event["val_loss"] is event["val_bits"] is event["val_perplexity"] is None
    assert events.gate_counts(run, np.zeros(0, np.int32)) == []
