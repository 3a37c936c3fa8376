"""`benchmarks.kernels` from options to report, on the CPU and on an emulated GPU."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cases, kernels
from benchmarks.shapes import Shape
from numlstm.backends import registry
from tests import emulation

TINY = Shape((8, 8), batch_size=2, seq_len=3, vocab_size=5)
NAMES = [case.name for case in cases.cases(TINY)]
SHORT = ("--rounds", "2", "--seconds", "0.0001")

RunScript = Callable[..., str]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure one tiny shape, with one and two CPU threads."""
    monkeypatch.setattr(kernels, "SHAPES", (TINY,))
    monkeypatch.setattr(kernels, "thread_counts", lambda: [1, 2])
    monkeypatch.setattr(cases, "STREAMS", {1: 4, 64: 2})


def results(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["results"]
    return found


@pytest.mark.usefixtures("tiny", "bf16_in_float32")
def test_the_kernels_of_the_cpu(run_script: RunScript, without: Callable[[str], None], tmp_path: Path) -> None:
    without("matplotlib")
    printed = run_script(kernels, *SHORT, "--busy", "1", "-o", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["settings"]["busy"] == 1
    every = results(tmp_path / "r.json")
    assert {result["precision"] for result in every} >= {"float32", "bf16"}
    for result in every:
        if result["precision"] != "float32":
            assert set(result["kernels"]) == {name for name in NAMES if name.startswith(("lstm", "dense"))}
    found = [result for result in every if result["precision"] == "float32"]
    assert [result["threads"] for result in found] == [1, 2]
    for result in found:
        assert list(result["kernels"]) == NAMES
        for name, kernel in result["kernels"].items():
            assert kernel["largest_error"] <= cases.TOLERANCE, name
            assert ("share_of_peak" in kernel) == ("gflop_per_second" in kernel) != ("gb_per_second" in kernel), name
    assert printed.count("```") == 2, "there must be a report to paste"
    assert "no picture: matplotlib is not installed" in printed


@pytest.mark.usefixtures("tiny")
def test_the_kernels_of_a_gpu(run_script: RunScript, tmp_path: Path) -> None:
    if emulation.missing():
        pytest.skip(emulation.missing())
    with emulation.emulated():
        printed = run_script(kernels, *SHORT, "--device", "gpu", "-o", tmp_path / "r.json")
    result = results(tmp_path / "r.json")[0]
    assert (result["device"], result["threads"], result["precision"]) == ("gpu", 1, "float32")
    assert list(result["kernels"]) == NAMES
    for name, kernel in result["kernels"].items():
        assert kernel["largest_error"] <= cases.TOLERANCE, name
        assert "share_of_peak" not in kernel, "the peak is the processor's"
    assert "GFLOP/s" in printed
    if importlib.util.find_spec("matplotlib") is not None:
        assert f"drew {tmp_path / 'r.svg'}" in printed


@pytest.mark.usefixtures("tiny")
def test_wrong_results_are_reported_but_not_kept(
    run_script: RunScript, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = cases.largest_error
    monkeypatch.setattr(kernels, "largest_error", lambda *outputs: right(*outputs) + 0.01)
    with pytest.raises(SystemExit, match="too far from the reference: lstm_forward, tokens of 2x8"):
        run_script(kernels, *SHORT, "-o", tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_a_quick_run(run_script: RunScript, tmp_path: Path, device: str) -> None:
    if missing := registry.why_not(device):
        pytest.skip(missing)
    run_script(kernels, "--quick", "--device", device, "-o", tmp_path / "r.json")
    found = results(tmp_path / "r.json")
    assert {(result["name"], result["device"]) for result in found} == {("1x128 B16 T50", device)}
