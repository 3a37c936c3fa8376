"""`--precision auto`: the fastest precision that agrees with float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numlstm
from numlstm.backends import registry
from numlstm.errors import BackendError
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.training import precision_choice
from numlstm.training.precision_choice import fastest

SHAPE = NetworkSettings(5, (4,))
CONFIG = TrainingSettings(steps=1, batch_size=2, seq_len=3)
IDS = np.array([0, 1, 2, 3, 4], np.uint8)


def chosen(monkeypatch: pytest.MonkeyPatch, measured: dict[str, tuple[float, float, float]], **shape: Any) -> str:
    """Return the choice if each precision takes some seconds and has a loss and norm; others are not available."""

    class Network:
        def __init__(self, config: Any, flat: Any, backend: Any, *, precision: str) -> None:
            if precision not in measured:
                raise BackendError("missing")
            self.precision = precision

    monkeypatch.setattr(precision_choice, "Network", Network)
    monkeypatch.setattr(precision_choice, "_tried", lambda network, x, y: measured[network.precision])
    config = NetworkSettings(5, (4,), **shape)
    return fastest(config, np.zeros(1), registry.load("reference"), CONFIG, IDS)


def test_the_fastest_that_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    float32 = {"float32": (1.0, 2.0, 0.5)}
    assert chosen(monkeypatch, float32) == "float32"
    assert chosen(monkeypatch, {**float32, "bf16": (0.5, 2.001, 0.51)}) == "bf16"
    assert chosen(monkeypatch, {**float32, "bf16": (0.5, 2.0, 0.5), "tf32": (0.4, 2.0, 0.5)}) == "tf32"
    assert chosen(monkeypatch, {**float32, "bf16": (0.97, 2.0, 0.5)}) == "float32", "hardly faster"
    assert chosen(monkeypatch, {**float32, "bf16": (0.5, 2.03, 0.5)}) == "float32", "another loss"
    assert chosen(monkeypatch, {**float32, "bf16": (0.5, 2.0, 0.4)}) == "float32", "another norm"
    assert chosen(monkeypatch, {**float32, "bf16": (0.5, float("nan"), 0.5)}) == "float32"
    assert chosen(monkeypatch, {**float32, "bf16": (0.5, 2.0, 0.5)}, dtype="float64") == "float32"


def test_a_real_trial() -> None:
    flat = parameters.initialise(SHAPE, 0)
    assert fastest(SHAPE, flat, registry.load("reference"), CONFIG, IDS) == "float32", "it has no other"


def test_a_run_records_the_choice_and_keeps_it(tmp_path: Any) -> None:
    text, tiny = "abcab cab. " * 40, {"layers": 4, "batch_size": 2, "seq_len": 8, "device": "reference"}
    run = numlstm.new_run(text=text, steps=2, precision="auto", **tiny)
    assert run.settings.precision == "float32"
    run.save(tmp_path / "w.npz")
    again = numlstm.resume_run(tmp_path / "w.npz", text=text, precision="auto", device="reference")
    assert (again.settings.precision, again.notes) == ("float32", ())
