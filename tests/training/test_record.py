"""The record of a run goes through JSON unchanged, and a damaged one is one clear error."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from numlstm.errors import WeightsError
from numlstm.settings.text import TextSettings
from numlstm.training.optimizers import Plateau
from numlstm.training.record import NOT_RECORDED, CorpusRecord, EpochResult, Record

CORPUS = CorpusRecord(("a.txt", "b.txt"), "utf-8", "ab12", 700, TextSettings(level="word", vocab_size=90))
FULL = Record(
    best_loss=1.25,
    best_step=20,
    epoch=2,
    position=7,
    epoch_loss=31.5,
    epoch_tokens=24,
    stale_epochs=1,
    plateau=Plateau(1.25, 1, 2),
    seconds=3.5,
    history=[EpochResult(10, 2.5, None), EpochResult(20, 1.5, 1.25)],
    left_out=3,
    corpus=CORPUS,
    epochs=9,
    snapshot_epochs=(1, 2),
    commands=("numlstm train a.txt b.txt",),
    began=4,
    averaged=6,
    loss_scale=(1024.0, 3.0),
)


def through_json(record: Record) -> Any:
    return json.loads(json.dumps(record.to_json()))


@pytest.mark.parametrize("record", [Record(), FULL])
def test_it_goes_through_json_unchanged(record: Record) -> None:
    assert Record.from_json(through_json(record)) == record


def test_every_field_differs_from_its_default_in_the_full_record() -> None:
    """Otherwise the test above would miss a lost field."""
    lost = [
        each.name for each in dataclasses.fields(Record) if getattr(FULL, each.name) == getattr(Record(), each.name)
    ]
    assert not lost


def test_files_keep_the_names_they_had_before_the_record_was_typed() -> None:
    values = through_json(FULL)
    assert values["corpus"]["sources"] == ["a.txt", "b.txt"]
    assert (values["corpus"]["level"], values["corpus"]["characters"]) == ("word", 700)
    assert values["history"] == [[10, 2.5, None], [20, 1.5, 1.25]]
    assert values["plateau"] == [1.25, 1, 2]
    assert through_json(Record())["epochs"] is None


def test_what_older_files_do_not_say_is_not_taken_for_none() -> None:
    """A missing `epochs` is not None, which means that the length was given in steps."""
    read = Record.from_json({"best_loss": 1.0})
    assert (read.position, read.epochs, read.best_loss) == (NOT_RECORDED, NOT_RECORDED, 1.0)


def test_what_newer_files_say_besides_is_left_out() -> None:
    assert Record.from_json({**through_json(FULL), "weather": "fine"}) == FULL


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(Record)])
@pytest.mark.parametrize("value", [True, {"x": 1}, [[1]], "soon"], ids=repr)
def test_a_damaged_value_is_named(name: str, value: object) -> None:
    with pytest.raises(WeightsError, match=rf"the {name} of its training record is "):
        Record.from_json({**through_json(FULL), name: value})


def test_the_summary_of_a_snapshot_has_no_best_loss() -> None:
    assert FULL.summary()["best_loss"] == 1.25
    assert "best_loss" not in FULL.summary(snapshot=True)
    assert FULL.summary(snapshot=True)["corpus"] == CORPUS.to_json()
