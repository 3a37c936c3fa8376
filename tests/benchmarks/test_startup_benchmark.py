"""`benchmarks.startup` from options to results: the commands and the comparison scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pictures, startup
from benchmarks.shapes import Shape

RunScript = Callable[..., str]
NUMPY, TORCH = "the same as a NumPy script", "the same as a PyTorch script"
SHORT = ("--cold-rounds", "1", "--rounds", "1")


@pytest.fixture
def short_commands(monkeypatch: pytest.MonkeyPatch, no_processes: None) -> None:
    """Run short commands in the test's process, and draw no picture."""
    monkeypatch.setattr(startup, "_SHAPE", Shape((8, 8), batch_size=32, seq_len=64))
    monkeypatch.setattr(startup, "_STEPS", 1)
    monkeypatch.setattr(startup, "_LENGTH", 20)
    monkeypatch.setattr(startup, "_LONG", 30)
    monkeypatch.setattr(pictures, "draw_if_possible", lambda path: None)


def results(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


@pytest.mark.usefixtures("short_commands")
def test_without_pytorch_a_numpy_script_is_what_is_compared(
    run_script: RunScript, without: Callable[[str], None], tmp_path: Path
) -> None:
    without("torch")
    printed = run_script(startup, *SHORT, "-o", tmp_path / "r.json")
    found = results(tmp_path / "r.json")
    assert len(found["verification"]["text"]) == 20
    assert found["ratios"] == {startup.OURS: {NUMPY: found["ratios"][startup.OURS][NUMPY]}}
    cold = [name for name in found["commands"] if name.endswith("nothing compiled")]
    assert len(cold) == 2
    assert f"{NUMPY}   " in printed
    assert "PyTorch is not installed" in found["judge"]["absent"]


@pytest.mark.usefixtures("short_commands")
def test_a_script_that_writes_another_text_is_refused(
    monkeypatch: pytest.MonkeyPatch, without: Callable[[str], None], tmp_path: Path
) -> None:
    without("torch")
    startup._write_files(tmp_path)
    assert len(startup.verify(tmp_path, None)["text"]) == 20
    monkeypatch.setattr(startup, "_GAIN", 0.1)  # so the script reads other weights
    with pytest.raises(RuntimeError, match=f"{NUMPY} .*; expected the same likeliest text"):
        startup.verify(tmp_path, None)


@pytest.mark.judge
@pytest.mark.usefixtures("short_commands")
def test_the_script_in_pytorch_writes_the_same_text(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: install the extra `judge`")
    startup._write_files(tmp_path)
    assert set(startup.scripts(tmp_path)) == {NUMPY, TORCH}
    startup.verify(tmp_path, None)


@pytest.mark.usefixtures("short_commands")
def test_the_scripts_sample_too(without: Callable[[str], None], tmp_path: Path) -> None:
    without("torch")
    (command,) = startup.scripts(tmp_path).values()
    texts = {startup.run(command, None)[1] for _ in range(3)}
    assert len(texts) > 1
    assert {len(text) for text in texts} == {20}


def test_a_command_that_fails_is_no_result() -> None:
    with pytest.raises(RuntimeError, match=r"exit code 3 from -c .*:\nthat went wrong"):
        startup.run(["-c", "import sys; print('that went wrong', file=sys.stderr); sys.exit(3)"], None)


@pytest.mark.slow
@pytest.mark.parametrize("torch", [False, pytest.param(True, marks=pytest.mark.judge)], ids=["alone", "beside torch"])
def test_a_quick_run(run_script: RunScript, without: Callable[[str], None], tmp_path: Path, torch: bool) -> None:
    if torch:
        pytest.importorskip("torch", reason="needs PyTorch: install the extra `judge`")
    else:
        without("torch")
    run_script(startup, "--quick", "-o", tmp_path / "r.json")
    found = results(tmp_path / "r.json")
    assert set(found["ratios"][startup.OURS]) == ({NUMPY, TORCH} if torch else {NUMPY})
    assert found["commands"]["numlstm --help"]["median"] > found["commands"]["python -c pass"]["median"]
