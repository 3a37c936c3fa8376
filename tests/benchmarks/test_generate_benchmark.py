"""`benchmarks.generate` from options to results, with and without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import generate, pictures
from benchmarks.shapes import Shape

OURS = ["numlstm", "numlstm bf16", "numlstm int8"]
THEIRS = ["torch", "torch.jit", "torch.jit bf16"]

RunScript = Callable[..., str]


def names(kinds: list[str]) -> list[str]:
    """Return the names of contestants with one and with two threads."""
    return [f"{kind}, {threads}" for kind in kinds for threads in ("1 thread", "2 threads")]


@pytest.fixture
def found(run_script: RunScript, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[Any]]:
    """Return a function that runs the script on a tiny network, with one and two threads and streams."""
    monkeypatch.setattr(generate, "SHAPES", ((8, 8),))
    monkeypatch.setattr(generate, "STREAMS", (1, 2))
    monkeypatch.setattr(generate, "thread_counts", lambda: [1, 2])
    monkeypatch.setattr(pictures, "draw_if_possible", lambda path: None)

    def run() -> list[Any]:
        run_script(generate, "--rounds", "2", "--seconds", "0.001", "--busy", "1", "-o", tmp_path / "r.json")
        document = json.loads((tmp_path / "r.json").read_text("utf-8"))
        assert (document["settings"]["busy"], document["settings"]["isa"]) == (1, None)
        results: list[Any] = document["results"]
        return results

    return run


@pytest.mark.slow  # compiles the kernels of each precision
@pytest.mark.usefixtures("workers_here")
def test_without_pytorch_numlstm_is_measured_alone(
    found: Callable[[], list[Any]], without: Callable[[str], None]
) -> None:
    without("torch")
    one, two = found()
    ours = names(OURS)
    assert [one["name"], two["name"]] == ["2x8, 1 stream", "2x8, 2 streams"]
    for result in (one, two):
        assert result["verification"]["agreeing"] == list(result["contestants"]) == ours
        assert len(set(result["verification"]["text"])) > 1, "the text must not repeat one character"
        assert result["ratios"] == {name: {} for name in ours}
        assert result["bar"] is None
        assert result["absent"] == {}


@pytest.mark.slow
@pytest.mark.usefixtures("as_if_torch")
def test_pytorch_is_a_loop_in_python_and_a_compiled_one(found: Callable[[], list[Any]]) -> None:
    ours, theirs = set(names(OURS)), set(names(THEIRS))
    for result in found():
        assert set(result["contestants"]) == ours | theirs
        assert {name: set(each) for name, each in result["ratios"].items()} == dict.fromkeys(ours, theirs)
        assert result["bar"] in theirs
        assert set(result["absent"]) == set(names(["torch.jit bf16 math"])), "the stand-in has no such mode"
        assert set(result["verification"]["characters_agreeing"]) == set(names(["torch.jit bf16"]))


class Saying:
    """A worker without a process that writes one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def ask(self, question: str, **values: Any) -> list[str]:
        return [self.text]


@pytest.mark.usefixtures("workers_here")
def test_rounded_weights_must_give_the_reference_text() -> None:
    shape = Shape((8, 8), vocab_size=5)
    prompts = [(shape.symbols * 2)[: generate._PROMPT]]
    text = generate._by_reference(shape, "int8", prompts)[0]
    right: Any = {"numlstm, 1 thread": Saying(text), "numlstm int8, 1 thread": Saying(text)}
    assert generate.verify(shape, right)["agreeing"] == list(right)
    wrong: Any = {"numlstm, 1 thread": Saying(text), "numlstm int8, 1 thread": Saying("x" * len(text))}
    with pytest.raises(RuntimeError, match=r"from numlstm int8, 1 thread and .* from the reference in int8"):
        generate.verify(shape, wrong)


def test_pytorch_in_bf16_must_begin_like_the_others() -> None:
    def found(text: str) -> dict[str, Any]:
        workers: Any = {"numlstm, 1 thread": Saying("abcd"), "torch.jit bf16, 1 thread": Saying(text)}
        return generate.verify(Shape((8, 8)), workers)["characters_agreeing"]

    assert found("abxd") == {"torch.jit bf16, 1 thread": 2.0}
    with pytest.raises(RuntimeError, match="'xbcd'; expected it to begin like 'abcd'"):
        found("xbcd")


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
