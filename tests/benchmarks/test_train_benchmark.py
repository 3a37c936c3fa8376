"""`benchmarks.train` from options to results and picture, with and without bf16 and PyTorch."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import measure, pictures, train
from benchmarks.shapes import Shape
from numlstm.backends.cpu import processor
from numlstm.settings.precision import PRECISIONS

TINY = Shape((8, 8), batch_size=2, seq_len=4, vocab_size=5)
SHORT = ("--rounds", "2", "--seconds", "0.001", "--threads", "1")
UNKNOWN = {f"numlstm {name}" for name in ("bf16x2", "bf16x3") if name not in PRECISIONS}
OURS = {"numlstm", "numlstm bf16", "numlstm bf16x2", "numlstm bf16x3"} - UNKNOWN
THEIRS = {"torch default", "torch tuned", "torch bf16 default", "torch bf16 tuned"}
MATH = {"torch bf16 math default", "torch bf16 math tuned"}
TILES = {"peak of tiles"}  # needs AMX

RunScript = Callable[..., str]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure one tiny shape."""
    monkeypatch.setattr(train, "SHAPES", (TINY,))


@pytest.fixture
def glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the system has glibc, which adds contestants."""
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.40"))


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no picture, which would take seconds."""
    monkeypatch.setattr(pictures, "draw_if_possible", lambda path: None)


def results(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


@pytest.mark.usefixtures("workers_here", "bf16_in_float32", "no_picture")
def test_without_pytorch_numlstm_is_measured_in_both_precisions(
    run_script: RunScript, without: Callable[[str], None], tmp_path: Path
) -> None:
    without("torch")
    printed = run_script(train, *SHORT, "--busy", "1", "-o", tmp_path / "r.json")
    found = results(tmp_path / "r.json")
    assert (found["settings"]["busy"], found["settings"]["isa"]) == (1, None)
    (result,) = found["results"]
    assert set(result["contestants"]) == OURS
    assert set(result["absent"]) - TILES == UNKNOWN
    assert result["ratios_bf16"] == {}, "there is no other contestant to compare with"
    assert set(result["verification"]["largest_relative_errors"]) == OURS - {"numlstm"}
    assert set(result["verification"]["gradient_errors"]) == OURS
    assert result["verification"]["exact"] == "reference (NumPy) in float64"
    for name, contestant in result["contestants"].items():
        assert contestant["characters_per_second"]["median"] > 0, name
        assert ("share_of_peak" in contestant) == (name == "numlstm"), "the peak is that of float32"
    assert "PyTorch is not installed" in found["judge"]["absent"]
    assert "PyTorch is not installed" in printed


@pytest.mark.usefixtures("workers_here", "no_picture")
def test_a_processor_without_bf16_is_measured_in_float32(
    run_script: RunScript, without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without("torch")
    monkeypatch.setattr(processor, "bf16_missing", lambda: "this processor has no such instruction")
    printed = run_script(train, *SHORT, "-o", tmp_path / "r.json")
    (result,) = results(tmp_path / "r.json")["results"]
    assert set(result["contestants"]) == {"numlstm"}
    assert set(result["absent"]) >= {"numlstm bf16", "numlstm bf16x2", "numlstm bf16x3"}
    assert "this processor has no such instruction" in result["absent"]["numlstm bf16"]
    assert "left out: precision bf16 is not available: this processor has no such instruction" in printed


@pytest.mark.usefixtures("as_if_torch", "bf16_in_float32", "glibc")
def test_each_precision_is_compared_with_pytorch_in_the_same(run_script: RunScript, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `benchmark`)")
    printed = run_script(train, *SHORT, "-o", tmp_path / "r.json")
    found = results(tmp_path / "r.json")
    (result,) = found["results"]
    assert set(result["contestants"]) == OURS | THEIRS
    assert set(result["ratios"]) == THEIRS | OURS - {"numlstm"}
    assert set(result["ratios_bf16"]) == THEIRS
    assert {kind: set(means) for kind, means in found["geometric_means"].items()} == {
        kind: set(result[kind]) for kind in ("ratios", "ratios_bf16", "ratios_bf16x2", "ratios_bf16x3")
    }
    assert "bf16, beside PyTorch bf16 tuned" in (tmp_path / "r.svg").read_text("utf-8")
    assert f"drew {tmp_path / 'r.svg'}" in printed


@pytest.mark.usefixtures("as_if_torch")
@pytest.mark.parametrize(("system", "tuned"), [("glibc", 3), ("", 0)])
def test_only_glibc_is_told_to_keep_memory(monkeypatch: pytest.MonkeyPatch, system: str, tuned: int) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: (system, ""))
    asked = []

    class Noted:
        def __init__(self, module: str, task: str, settings: Any, variables: Any = None) -> None:
            asked.append(variables)

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(train, "Worker", Noted)
    with contextlib.ExitStack() as stack:
        names = train.contestants(TINY, 1, stack)
    assert sum("tuned" in name for name in names) == tuned
    assert sum(measure.TUNED_MEMORY.items() <= each.items() for each in asked) == tuned
    assert sum("ONEDNN_DEFAULT_FPMATH_MODE" in each for each in asked) == len([n for n in names if "math" in n])
    assert not any("NUMLSTM_SIMD" in each for each in asked)
    asked.clear()
    with contextlib.ExitStack() as stack:
        train.contestants(TINY, 1, stack, "avx2")
    assert all({"NUMLSTM_SIMD": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}.items() <= each.items() for each in asked)


@pytest.mark.usefixtures("workers_here", "bf16_in_float32", "no_picture")
def test_a_run_with_fewer_threads_has_a_file_of_its_own(
    run_script: RunScript, without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without("torch")
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(train, "cores", lambda: 2)
    run_script(train, *SHORT)
    assert [path.name for path in tmp_path.iterdir()] == ["train-1-thread.json"]
    run_script(train, *SHORT, "--threads", "2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train-1-thread.json", "train.json"]


@pytest.mark.slow
@pytest.mark.usefixtures("bf16_in_workers")
@pytest.mark.parametrize("torch", [False, pytest.param(True, marks=pytest.mark.judge)], ids=["alone", "beside torch"])
def test_a_quick_run_in_processes(
    run_script: RunScript, without: Callable[[str], None], tmp_path: Path, torch: bool
) -> None:
    if torch:
        pytest.importorskip("torch", reason="needs PyTorch: install the extra `judge`")
    else:
        without("torch")
    run_script(train, "--quick", "-o", tmp_path / "r.json")
    (result,) = results(tmp_path / "r.json")["results"]
    assert set(result["contestants"]) | set(result["absent"]) >= OURS | ({"torch bf16 default"} if torch else set())
    assert set(result["absent"]) <= UNKNOWN | THEIRS | MATH | TILES, "PyTorch lacks bf16 on some processors"
    assert ("torch default" in result["contestants"]) == torch
    assert result["verification"]["largest_relative_errors"]["numlstm bf16"]["loss"] > 1e-7, "nothing was rounded"
