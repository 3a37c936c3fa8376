"""`benchmarks.generate` from options to results, with and without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import generate, pictures

RunScript = Callable[..., str]


@pytest.fixture
def found(run_script: RunScript, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[Any]]:
    """Return a function that runs the script on a tiny network, with one and two threads and streams."""
    monkeypatch.setattr(generate, "SHAPES", ((8, 8),))
    monkeypatch.setattr(generate, "STREAMS", (1, 2))
    monkeypatch.setattr(generate, "thread_counts", lambda: [1, 2])
    monkeypatch.setattr(pictures, "draw_if_possible", lambda path: None)

    def run() -> list[Any]:
        run_script(generate, "--rounds", "2", "--seconds", "0.001", "-o", tmp_path / "r.json")
        results: list[Any] = json.loads((tmp_path / "r.json").read_text("utf-8"))["results"]
        return results

    return run


@pytest.mark.usefixtures("workers_here")
def test_without_pytorch_numlstm_is_measured_alone(
    found: Callable[[], list[Any]], without: Callable[[str], None]
) -> None:
    without("torch")
    one, two = found()
    ours = ["numlstm, 1 thread", "numlstm, 2 threads"]
    assert [one["name"], two["name"]] == ["2x8, 1 stream", "2x8, 2 streams"]
    for result in (one, two):
        assert result["verification"]["agreeing"] == list(result["contestants"]) == ours
        assert len(set(result["verification"]["text"])) > 1, "the text must not repeat one character"
        assert result["ratios"] == {name: {} for name in ours}
        assert result["bar"] is None


@pytest.mark.usefixtures("as_if_torch")
def test_pytorch_is_a_loop_in_python_and_a_compiled_one(found: Callable[[], list[Any]]) -> None:
    ours, theirs = (
        {f"{kind}, {threads}" for kind in kinds for threads in ("1 thread", "2 threads")}
        for kinds in (["numlstm"], ["torch", "torch.jit"])
    )
    for result in found():
        assert set(result["contestants"]) == ours | theirs
        assert {name: set(each) for name, each in result["ratios"].items()} == dict.fromkeys(ours, theirs)
        assert result["bar"] in theirs


@pytest.mark.slow
@pytest.mark.parametrize("torch", [False, pytest.param(True, marks=pytest.mark.judge)], ids=["alone", "beside torch"])
def test_a_quick_run_in_processes(
    run_script: RunScript, without: Callable[[str], None], tmp_path: Path, torch: bool
) -> None:
    if torch:
        pytest.importorskip("torch", reason="needs PyTorch: install the extra `judge`")
    else:
        without("torch")
    run_script(generate, "--quick", "-o", tmp_path / "r.json")
    for result in json.loads((tmp_path / "r.json").read_text("utf-8"))["results"]:
        assert (result["bar"] is not None) == torch
        assert all(each["characters_per_second"]["median"] > 0 for each in result["contestants"].values())
