"""numlstm as a contestant, in the process of the test."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import train
from benchmarks.shapes import Shape
from benchmarks.with_numlstm import Training

SHAPE = Shape((8, 8), batch_size=2, seq_len=4, vocab_size=5)


@pytest.mark.usefixtures("bf16_in_float32")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_takes_its_steps_in_the_precision_that_was_asked_for(precision: str) -> None:
    contestant = Training(dataclasses.asdict(SHAPE), 1, precision, **train.SETTINGS)
    assert contestant.model.precision == precision
    losses, norms = zip(*contestant.first_steps(3), strict=True)
    assert all(0 < loss < 5 for loss in losses)
    assert all(norm > 0 for norm in norms)
    assert contestant.work() == 2 * 4
