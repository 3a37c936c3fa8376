"""Advice on made-up runs: given when it applies, and only then."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pytest

from numlstm.monitoring.advice import Loss, Setting, after_epoch, after_training, before_training
from numlstm.settings.commands import train_settings

SETTING = Setting(parameters=200_000, training_tokens=1_000_000, token="character", layers=(128, 128), epochs=6)


def history(*losses: tuple[float, float | None]) -> Sequence[Loss]:
    return [(100 * n, train, val) for n, (train, val) in enumerate(losses, 1)]


def with_(**changes: object) -> Setting:
    return dataclasses.replace(SETTING, **changes)  # type: ignore[arg-type]


def test_a_text_far_too_small() -> None:
    found = before_training(with_(training_tokens=29_999, parameters=10**9))
    assert found is not None
    assert found.about == "small text"
    assert "29,999 characters" in found.line
    assert "`dropout` 0.3" in found.line
    other = before_training(with_(training_tokens=29_999, dropout=0.3))
    assert other is not None
    assert "`dropout`" not in other.line, "the run already uses dropout"
    assert before_training(with_(training_tokens=30_000)) is None


def test_a_network_far_too_large() -> None:
    found = before_training(with_(training_tokens=100_000, parameters=3_100_000, layers=(512, 256)))
    assert found is not None
    assert found.about == "large network"
    assert "31 parameters per character" in found.line
    assert "`layers` 288,144" in found.line
    assert before_training(with_(training_tokens=100_000, parameters=3_000_000)) is None


def test_layers_that_could_not_be_smaller_are_not_advised() -> None:
    assert before_training(with_(training_tokens=100_000, parameters=10**8, layers=(16, 8))) is None
    found = before_training(with_(training_tokens=100_000, parameters=10**7, layers=(64, 8)))
    assert found is not None
    assert "`layers` 16,8 " in found.line
    found = after_epoch(with_(dropout=0.5, layers=(16, 12)), OVERFITTED)
    assert found is not None
    assert "`layers`" not in found.line
    assert "and more text would delay overfitting" in found.line


OVERFITTED = history((2.0, 2.0), (1.7, 1.8), (1.5, 1.85), (1.3, 1.9))


def test_overfitting() -> None:
    found = after_epoch(SETTING, OVERFITTED)
    assert found is not None
    assert found.about == "overfitting"
    assert "from 1.800 to 1.900" in found.line
    assert "`dropout` 0.3" in found.line
    assert "`patience` 3" in found.line
    assert "\n" not in found.line


@pytest.mark.parametrize(
    ("dropout", "option"), [(0.2, "`dropout` 0.4"), (0.45, "`dropout` 0.6"), (0.5, "`layers` 64,64")]
)
def test_what_helps_against_overfitting_where_there_is_dropout(dropout: float, option: str) -> None:
    found = after_epoch(with_(dropout=dropout, patience=4), OVERFITTED)
    assert found is not None
    assert option in found.line
    assert "`patience`" not in found.line, "the run stops by itself"


@pytest.mark.parametrize(
    "losses",
    [
        OVERFITTED[:3],  # risen for one epoch only
        history((2.0, 2.0), (1.7, 1.8), (1.6, 1.81), (1.5, 1.815)),  # risen by less than 1 %
        history((2.0, 2.0), (1.7, 1.8), (1.8, 1.85), (1.9, 1.9)),  # training loss rises too: another problem
        history((2.0, 2.0), (1.7, 1.8), (1.5, 1.9), (1.3, 1.79)),  # risen, then fallen again
        history((2.0, None), (1.7, None), (1.5, None), (1.3, None)),
        [],
    ],
)
def test_no_overfitting(losses: Sequence[Loss]) -> None:
    assert after_epoch(SETTING, losses) is None


def test_a_run_that_was_too_short() -> None:
    found = after_training(SETTING, history((2.0, 2.0), (1.9, 1.95)))
    assert found is not None
    assert found.about == "underfitting"
    assert "2.5 %" in found.line
    assert "`epochs` 12" in found.line


def test_a_network_that_is_too_small() -> None:
    losses = history((2.0, 2.0), (1.99, 1.99))
    found = after_training(SETTING, losses)
    assert found is not None
    assert found.about == "underfitting"
    assert "`layers` 256,256" in found.line
    assert after_training(with_(dropout=0.3), losses) is None, "with dropout the two losses are not comparable"
    assert after_training(with_(recurrent_dropout=0.3), losses) is None
    assert after_training(with_(parameters=2_000_000), losses) is None, "the network is large enough"


@pytest.mark.parametrize(
    "losses",
    [
        history((2.0, 2.0), (1.6, 1.99)),  # the training loss is far lower: it memorised the text
        history((2.0, 2.0)),
        history((2.0, None), (1.9, None)),
        [],
    ],
)
def test_no_underfitting(losses: Sequence[Loss]) -> None:
    assert after_training(SETTING, losses) is None


def test_the_options_that_are_advised_are_options_of_train() -> None:
    given = [
        before_training(with_(training_tokens=29_999)),
        before_training(with_(parameters=10**9)),
        after_epoch(SETTING, OVERFITTED),
        after_epoch(with_(dropout=0.5), OVERFITTED),
        after_training(SETTING, history((2.0, 2.0), (1.9, 1.95))),
        after_training(SETTING, history((2.0, 2.0), (1.99, 1.99))),
    ]
    advised = {option for each in given if each for option in re.findall(r"`([a-z_]+)`", each.line)}
    assert advised == {"dropout", "layers", "patience", "epochs"}
    assert advised <= {each.name for each in train_settings()}


def test_a_run_that_learned_nothing() -> None:
    hopeless = with_(guessing=4.1, lower_lr=0.01)
    found = after_training(hopeless, history((9.0, 9.5), (5.0, 4.1)))
    assert found is not None
    assert found.about == "no learning"
    assert "4.1 nats, is no lower than that of guessing, 4.1; lower `lr`, for example to 0.01" in found.line
    better = after_training(hopeless, history((9.0, 9.5), (5.0, 4.09)))
    assert better is not None
    assert better.about == "underfitting"
