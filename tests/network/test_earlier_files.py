"""Weights files written by numlstm 0.1 still load, generate the same text and resume exactly.

`tests/golden/version1` holds files that `numlstm train` and `numlstm share` of version 0.1 wrote, and that version's
results with them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import numlstm
from numlstm.network import weights_file

EARLIER = Path(__file__).parents[1] / "golden" / "version1"
EXPECTED = json.loads((EARLIER / "expected.json").read_text("utf-8"))


def written(path: Path) -> str:
    model = numlstm.load(path, device="reference")
    return model.generate("Day ", length=40, temperature=0.8, seed=5)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_writes_the_same_text(name: str) -> None:
    assert written(EARLIER / f"{name}.npz") == EXPECTED[name]["text"]


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if "resumed" in expected])
def test_its_run_goes_on_as_it_would_have(name: str, tmp_path: Path) -> None:
    path, expected = tmp_path / "again.npz", EXPECTED[name]["resumed"]
    shutil.copy(EARLIER / f"{name}.npz", path)
    run = numlstm.resume_run(path, EARLIER / "text.txt", steps=expected["steps"], device="reference")
    for _ in run:
        pass
    state = weights_file.load(path).state
    assert state is not None
    assert float(np.abs(state.params.astype(np.float64)).sum()) == pytest.approx(expected["sum"], rel=1e-5)
    assert written(path) == expected["text"]


def test_a_file_without_a_run_cannot_go_on() -> None:
    with pytest.raises(numlstm.WeightsError, match="no training state"):
        numlstm.resume_run(EARLIER / "shared.npz", EARLIER / "text.txt", device="reference")
