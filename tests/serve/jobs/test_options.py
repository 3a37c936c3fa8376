"""A job's options are those of `numlstm train`; other names and values of the wrong kind are refused."""

from __future__ import annotations

from typing import Any

import pytest

from numlstm.serve.http.refusal import Refusal
from numlstm.serve.jobs.options import SERVER_ONLY, checked, described, job_settings
from numlstm.settings import commands

OPTIONS = {option.name: option for option in job_settings()}


def test_all_options_are_there_but_those_that_are_the_servers() -> None:
    assert {*OPTIONS} | SERVER_ONLY == {each.name for each in commands.train_settings()}
    assert not {*OPTIONS} & SERVER_ONLY


def test_they_are_described_as_they_are_declared() -> None:
    assert described(OPTIONS["epochs"]) == {
        "name": "epochs",
        "kind": "int",
        "group": "Steps",
        "help": "Number of passes through the whole text.",
        "default": "2 to 40, fewer for a longer text",
        "fixed": False,
        "least": 1,
        "most": 2**31 - 1,
        "choices": None,
    }
    found = {name: described(option) for name, option in OPTIONS.items()}
    assert (found["layers"]["kind"], found["layers"]["default"], found["layers"]["fixed"]) == ("text", "128,128", True)
    assert (found["layer_norm"]["kind"], found["lr"]["kind"], found["lr"]["fixed"]) == ("flag", "float", False)
    assert (found["lr"]["least"], found["lr"]["most"], found["dropout"]["most"]) == (0, None, 1)
    assert found["level"]["choices"] == ["char", "byte", "word"]
    assert (found["device"]["group"], found["device"]["default"], found["threads"]["default"]) == ("Run", "auto", "all")
    for each in found.values():
        assert each["help"]
        assert not any(sign in each["help"] + each["default"] for sign in ("[", "]", "\\"))


SAMPLES: dict[str, Any] = {"int": 7, "float": 0.25, "text": "-x --y=z\n", "flag": True, "sizes": "8,8"}
OTHERS = {"lr_power": -0.5}


def test_training_takes_what_was_given() -> None:
    usual = {name: SAMPLES[option.kind] for name, option in OPTIONS.items()}
    words = {name: option.choices[-1] for name, option in OPTIONS.items() if option.choices}
    values = {**usual, **words, **OTHERS}
    assert checked(OPTIONS.values(), values) == values
    assert commands.checked({name: value for name, value in values.items() if name != "steps"})["layers"] == (8, 8)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("epochs", "7", "expected a whole number"),
        ("epochs", 7.5, "expected a whole number"),
        ("epochs", True, "expected a whole number"),
        ("epochs", 10**400, "expected a whole number"),
        ("lr", float("nan"), "expected a number"),
        ("lr", float("-inf"), "expected a number"),
        ("lr", 10**400, "expected a number"),
        ("lr", False, "expected a number"),
        ("layer_norm", 1, "expected true or false"),
        ("layers", 128, "expected text"),
        ("layers", "128,x", "expected one size per layer"),
        ("layers", "0", "expected 1 to 64 whole numbers from 1 to 65536, one per layer"),
        ("epochs", 0, "expected a whole number from 1 to 2147483647"),
        ("lr", 0, "expected a number above 0"),
        ("dropout", 1, "expected a number of at least 0 and less than 1"),
        ("schedule", "cosin", "expected constant, cosine, linear"),
        ("prompt", "a\0b", "expected text"),
        ("prompt", "\ud800", "expected text"),
        ("prompt", "x" * 2001, "expected text of up to 2000 characters"),
    ],
)
def test_other_kinds_are_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        checked(OPTIONS.values(), {name: value})
    assert (refused.value.status, refused.value.param) == (400, f"options.{name}")
    assert len(refused.value.message) < 250


@pytest.mark.parametrize("name", [*sorted(SERVER_ONLY), "", "--lr", "layer-norm", "o", "help", "lr=1\n--output"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Refusal, match="no option is called") as refused:
        checked(OPTIONS.values(), {name: "x"})
    assert refused.value.status == 400
