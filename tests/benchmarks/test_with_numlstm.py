"""numlstm as a contestant, in the test's process."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import generate, train
from benchmarks.contest import AbsentError
from benchmarks.shapes import Shape
from benchmarks.with_numlstm import OneStream, Streams, Training
from numlstm.backends.cpu import processor

SHAPE = Shape((8, 8), batch_size=2, seq_len=4, vocab_size=5)
FIELDS = dataclasses.asdict(SHAPE)
PROMPTS = ["012", "340"]


@pytest.mark.usefixtures("bf16_in_float32")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_takes_its_steps_in_the_precision_that_was_asked_for(precision: str) -> None:
    contestant = Training(FIELDS, 1, precision, **train.SETTINGS)
    assert contestant.model.precision == precision
    losses, norms = zip(*contestant.first_steps(3), strict=True)
    assert all(0 < loss < 5 for loss in losses)
    assert all(norm > 0 for norm in norms)
    assert contestant.work() == 2 * 4
    assert contestant.about()["threads"] == 1


def test_training_in_bf16_is_absent_where_the_processor_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "bf16_missing", lambda: "this processor has no such instruction")
    with pytest.raises(AbsentError, match="this processor has no such instruction"):
        Training(FIELDS, 1, "bf16", **train.SETTINGS)


@pytest.mark.parametrize("task", [OneStream, Streams])
def test_a_piece_of_text(task: type) -> None:
    contestant = task({**FIELDS, "batch_size": 1 if task is OneStream else 2}, 1, **generate.SETTINGS)
    assert contestant.work() >= 1
    assert contestant.greedy(PROMPTS, 1)[0] in SHAPE.symbols


def test_one_stream_and_many_find_the_same_likeliest_text() -> None:
    one, many = (task(FIELDS, 1, **generate.SETTINGS) for task in (OneStream, Streams))
    texts = many.greedy(PROMPTS, 20)
    assert [len(text) for text in texts] == [20, 20]
    assert [one.greedy([prompt], 20)[0] for prompt in PROMPTS] == texts
