"""`benchmarks.against` from options to results, comparing this checkout with itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import against
from benchmarks.measure import ROOT
from benchmarks.shapes import Shape

RunScript = Callable[..., str]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against, "TRAINED", (Shape((8, 8), 2, 4),))
    monkeypatch.setattr(against, "WRITTEN", (Shape((8, 8), 1), Shape((8, 8), 2)))
    monkeypatch.setattr(against, "_COMMANDS", {"numlstm --version": ["--version"]})
    monkeypatch.setattr(against, "cores", lambda: 1)


@pytest.mark.usefixtures("workers_here", "small")
def test_two_checkouts_are_compared(run_script: RunScript, tmp_path: Path) -> None:
    said = run_script(against, ROOT, "--rounds", "2", "--seconds", "0.001", "-o", tmp_path / "r.json")
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text("utf-8"))
    names = ["train 2x8 B2 T4", "generate 2x8, 1 side by side", "generate 2x8, 2 side by side", "numlstm --version"]
    assert [each["name"] for each in found["results"]] == names
    assert all(name in said for name in names)
    training, writing, _, command = found["results"]
    assert training["verification"]["same_bits"]
    assert writing["verification"]["agreeing"] == ["this", "other"]
    assert len(command["ratio"]["rounds"]) == 2, "the first run only fills the caches and is not timed"
    for each in found["results"]:
        ratios = [a / b for a, b in zip(each["this"]["rounds"], each["other"]["rounds"], strict=True)]
        assert each["ratio"]["rounds"] == pytest.approx(ratios, rel=1e-3)


@pytest.mark.usefixtures("workers_here", "small")
def test_other_losses_are_an_error(run_script: RunScript, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[[1.0, 0.1]], [[1.1, 0.1]]])
    monkeypatch.setattr(against.Worker, "ask", lambda self, question, **values: next(answers))
    with pytest.raises(RuntimeError, match="expected the same to rounding"):
        run_script(against, ROOT, "--quick")


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="exit code 2 from"):
        against._run(["--nonsense"], ROOT)
