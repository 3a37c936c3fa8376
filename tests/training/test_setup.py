"""The network that the settings describe, and the errors raised before training starts."""

from __future__ import annotations

import dataclasses
import io

import pytest

from numlstm.backends import registry
from numlstm.errors import ConfigError, WeightsError
from numlstm.settings.commands import checked
from numlstm.text.dataset.corpus import load_corpus
from numlstm.training import setup


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"layers": (128, 128), "embedding": 0}),
        ({"layers": "5,4"}, {"layers": (5, 4)}),
        ({"embedding": 7, "projection": 3}, {"embedding": 7, "projection": 3, "state_sizes": (3, 3)}),
        (
            {"layer_norm": True, "gate_activation": "hard-sigmoid"},
            {"layer_norm": True, "gate_activation": "hard-sigmoid"},
        ),
        ({"layers": "5,4", "tie_weights": True}, {"embedding": 4, "tie_weights": True}),
        ({"layers": "5,4", "tie_weights": True, "projection": 3}, {"embedding": 3}),
    ],
)
def test_every_option_of_the_network_reaches_it(given: dict[str, object], expected: dict[str, object]) -> None:
    config = setup.network_settings(65, checked(given))
    assert {name: getattr(config, name) for name in expected} == expected


def test_tied_weights_with_another_embedding_are_an_error() -> None:
    with pytest.raises(ConfigError, match="`embedding` is 9; expected 4"):
        setup.network_settings(65, {"layers": (5, 4), "tie_weights": True, "embedding": 9})


def test_more_file_names_than_a_weights_file_has_room_for_are_told_before_training() -> None:
    text = load_corpus(["-"], stdin=io.BytesIO(b"a text of some length\n" * 40))
    given = {"layers": (4,), "batch_size": 4, "seq_len": 8}
    assert setup.new_run(text, registry.load("reference"), given).step == 0
    many = dataclasses.replace(text, sources=("/책장/" + "글" * 90,) * 20_000)
    with pytest.raises(WeightsError, match="join many texts into one file"):
        setup.new_run(many, registry.load("reference"), given)
