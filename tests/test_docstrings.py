"""The examples in public docstrings run and print the output shown; `help` lists the training settings."""

from __future__ import annotations

import doctest
import inspect
import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import numlstm
from numlstm.settings.commands import train_settings

PUBLIC: dict[str, Callable[..., Any]] = {
    **{name: getattr(numlstm, name) for name in ("train", "new_run", "resume_run", "load", "Run", "Model")},
    **{
        f"{of.__name__}.{name}": getattr(of, name)
        for of, names in (
            (
                numlstm.Model,
                "create generate stream generate_many score log_probabilities hidden_states "
                "logits loss_and_gradients save",
            ),
            (numlstm.Run, "save best_model"),
        )
        for name in names.split()
    },
}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    days = [f"Day {n}. The bridge was {n * 7} steps away, and nobody minded.\n" for n in range(1, 200)]
    (tmp_path / "corpus.txt").write_text("".join(days), "utf-8")
    return tmp_path


@pytest.mark.parametrize("name", PUBLIC)
def test_an_example_prints_what_it_says(name: str, folder: Path) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, globs={"numlstm": numlstm})
    assert test.examples
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append)
    assert not result.failed, "".join(said)


def test_a_wrong_example_fails(folder: Path) -> None:
    wrong = ">>> numlstm.load('shakespeare')\nnothing\n"
    test = doctest.DocTestParser().get_doctest(wrong, {"numlstm": numlstm}, "", "", 0)
    assert doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=lambda text: None).failed == 1


def test_every_public_function_has_an_example() -> None:
    functions = {name for name in numlstm.__all__ if inspect.isfunction(getattr(numlstm, name))}
    methods = {f"Model.{name}" for name, value in vars(numlstm.Model).items() if inspect.isfunction(value)}
    internal = {"Model.without_unknown"}
    expected = functions | {name for name in methods if not name.partition(".")[2].startswith("_")} - internal
    assert expected <= set(PUBLIC)


@pytest.mark.parametrize("name", ["train", "new_run", "resume_run"])
def test_help_shows_each_setting_with_its_default(name: str) -> None:
    function = getattr(numlstm, name)
    shown = pydoc.plain(pydoc.render_doc(function))
    for each in train_settings():
        assert (f"{each.name}: {each.help}" in shown) == (each.name != "resume")
    parameters = inspect.signature(function).parameters
    assert parameters["layers"].default == (128, 128)
    assert parameters["batch_size"].annotation is int
    assert parameters["sample_length"].default == 0, "the default in Python, not that of the command line"
    assert parameters["reset_state"].default == 0.01
    assert "settings" not in parameters
