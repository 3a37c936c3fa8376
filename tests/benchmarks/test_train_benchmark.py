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

TINY = Shape((8, 8), batch_size=2, seq_len=4, vocab_size=5)
SHORT = ("--rounds", "2", "--seconds", "0.001", "--threads", "1")
OURS = {"numlstm", "numlstm bf16"}
THEIRS = {"torch default", "torch tuned", "torch bf16 default", "torch bf16 tuned"}

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
    printed = run_script(train, *SHORT, "-o", tmp_path / "r.json")
    found = results(tmp_path / "r.json")
    (result,) = found["results"]
    assert set(result["contestants"]) == OURS
    assert result["absent"] == {}
    assert result["ratios_bf16"] == {}, "there is no other contestant to compare with"
    assert set(result["verification"]["largest_relative_errors"]) == {"numlstm bf16"}
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
    assert set(result["absent"]) == {"numlstm bf16"}
    assert "this processor has no such instruction" in result["absent"]["numlstm bf16"]
    assert "left out: precision bf16 is not available: this processor has no such instruction" in printed


@pytest.mark.usefixtures("as_if_torch", "bf16_in_float32", "glibc")
def test_each_precision_is_compared_with_pytorch_in_the_same(run_script: RunScript, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `benchmark`)")
    printed = run_script(train, *SHORT, "-o", tmp_path / "r.json")
    found = results(tmp_path / "r.json")
    (result,) = found["results"]
    assert set(result["contestants"]) == OURS | THEIRS
    assert set(result["ratios"]) == THEIRS | {"numlstm bf16"}
    assert set(result["ratios_bf16"]) == {name for name in THEIRS if "bf16" in name}
    assert {kind: set(means) for kind, means in found["geometric_means"].items()} == {
        kind: set(result[kind]) for kind in ("ratios", "ratios_bf16")
    }
    assert "bf16, beside PyTorch tuned" in (tmp_path / "r.svg").read_text("utf-8")
    assert f"drew {tmp_path / 'r.svg'}" in printed


@pytest.mark.usefixtures("as_if_torch")
@pytest.mark.parametrize(("system", "tuned"), [("glibc", 2), ("", 0)])
def test_only_glibc_is_told_to_keep_memory(monkeypatch: pytest.MonkeyPatch, system: str, tuned: int) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: (system, ""))
    asked = []

    class Noted:
        def __init__(self, module: str, task: str, settings: Any, memory: Any = None) -> None:
            asked.append(memory)

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(train, "Worker", Noted)
    with contextlib.ExitStack() as stack:
        names = train.contestants(TINY, 1, stack)
    assert sum("tuned" in name for name in names) == tuned
    assert [memory for memory in asked if memory] == [measure.TUNED_MEMORY] * tuned


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
    assert set(result["absent"]) <= THEIRS, "PyTorch lacks bf16 on some processors"
    assert ("torch default" in result["contestants"]) == torch
    assert result["verification"]["largest_relative_errors"]["numlstm bf16"]["loss"] > 1e-7, "nothing was rounded"
