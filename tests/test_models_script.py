"""`models/make.py` stores a trained model in the form that ships."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

import numlstm
from numlstm.backends import reference
from numlstm.network import weights_file

ROOT = Path(__file__).parents[1]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_models", ROOT / "models" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(module.OPTIONS, "tales", "--layers 8")
    monkeypatch.setattr(module.registry, "load", lambda device: reference)  # no kernels to compile
    return module


def test_a_model_is_stored_with_what_it_comes_to(make: ModuleType, tmp_path: Path) -> None:
    trained = tmp_path / "trained.npz"
    numlstm.train("tales", layers=8, steps=2, device="reference", output=trained)
    make.ship("tales", trained, tmp_path / "tales.npz")
    file = weights_file.load(tmp_path / "tales.npz")
    assert file.state is None
    assert file.summary["about"]["title"]
    assert file.summary["commands"] == ["numlstm train tales --layers 8"]
    assert 0 < file.summary["evaluated"]["carried"] < 5
    for loss in file.summary["evaluated"]["rounded"].values():
        assert loss == pytest.approx(file.summary["evaluated"]["carried"], abs=0.01)
    assert trained.stat().st_size > (tmp_path / "tales.npz").stat().st_size


def test_a_stopped_training_is_resumed(make: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[list[str]] = []
    monkeypatch.setattr(make.subprocess, "run", lambda words, check: typed.append(words))
    make.train("tales", tmp_path)
    shutil.copy(__file__, tmp_path / "tales.npz")
    make.train("tales", tmp_path)
    start = [sys.executable, "-m", "numlstm", "train"]
    path = str(tmp_path / "tales.npz")
    assert typed == [[*start, "tales", "--layers", "8", "-o", path], [*start, "--resume", path]]
