"""The parts shared by all benchmarks: the contestants' environment, the results file, spreads."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import measure


def parsed(*arguments: str) -> argparse.Namespace:
    return measure.options("some", "What is it?").parse_args(arguments)


def test_contestants_have_no_settings_that_change_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "NUMLSTM_BF16", "NUMLSTM_SIMD"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("NUMLSTM_CACHE_DIR", "/some/cache")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    found = measure.environment(MALLOC_TOP_PAD_="1")
    assert [name for name in found if name.startswith(("OMP_", "OPENBLAS_", "MALLOC_"))] == ["MALLOC_TOP_PAD_"]
    assert [name for name in found if name.startswith("NUMLSTM_")] == ["NUMLSTM_CACHE_DIR"]
    assert found["SOMETHING_ELSE"] == "kept"
    new = measure.compiled_code_in(Path("new"))
    assert measure.environment(**new)["NUMLSTM_CACHE_DIR"] == "new"
    assert measure.compiled_code_in(None) == {}


def test_a_quick_run_writes_nothing_unless_told_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    assert measure.write_results("some", parsed("--quick"), {}) is None
    assert "nothing written" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "new" / "r.json"
    assert measure.write_results("some", parsed("--quick", "-o", str(path)), {"found": 1}) == path
    document = json.loads(path.read_text("utf-8"))
    assert (document["benchmark"], document["found"], document["settings"]) == ("some", 1, {"quick": True})
    assert document["machine"]["versions"]["numpy"]


def test_a_whole_run_is_written_among_the_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    assert measure.write_results("some", parsed(), {}) == tmp_path / "some.json"
    assert measure.write_results("some", parsed(), {}, "-short") == tmp_path / "some-short.json"
    with pytest.raises(ValueError, match="JSON"):
        measure.write_results("odd", parsed(), {"found": float("nan")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some-short.json", "some.json"]


def test_without_git_no_commit_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*command: Any, **options: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", run)
    found = measure.machine()
    assert (found["commit"], found["dirty"]) == (None, None)
    assert "git does not answer" in capsys.readouterr().err


def test_who_lacks_pytorch_is_told_what_brings_it(without: Callable[[str], None]) -> None:
    without("torch")
    assert measure.judge() == {"absent": "PyTorch is not installed: `pip install .[judge]` brings it"}


def test_a_spread() -> None:
    found = measure.spread([3.0, 1.0, 2.0, 4.0, 1000 / 3])
    assert found["median"] == 3.0
    assert found["quartiles"] == [2.0, 4.0]
    assert found["range"] == [1.0, 333.33]
    assert found["rounds"] == [3.0, 1.0, 2.0, 4.0, 333.33]
    assert measure.spread([5.0])["quartiles"] == [5.0, 5.0]
