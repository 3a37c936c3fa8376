"""The bf16 setting: which networks reject it, and that training learns as much as in float32.

If the processor lacks the instruction, it is emulated slowly in a separate process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from numlstm.backends import registry
from numlstm.backends.cpu import processor
from numlstm.errors import BackendError, ConfigError
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.vocab.char import CharVocab
from numlstm.training import resume
from numlstm.training.state import TrainingState

CONFIG = NetworkSettings(5, (3, 2))
MISSING = "this processor has no such instruction"


@pytest.fixture
def without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the processor has no bf16."""
    monkeypatch.setattr(processor, "bf16_missing", lambda: MISSING)


def test_a_network_computes_in_float32_unless_asked_otherwise() -> None:
    model = Model.create(5, (3,), device="reference")
    assert model.precision == "float32"
    assert Model.create(5, (3,), device="reference", precision="float32", dtype="float64").precision == "float32"


@pytest.mark.parametrize("precision", ["half", "", None])
def test_an_unknown_precision(precision: Any) -> None:
    with pytest.raises(ConfigError, match=r"`precision` is .*; expected float32 or bf16"):
        Model.create(5, (3,), device="cpu", precision=precision)


def test_bf16_of_float64_parameters_is_refused() -> None:
    with pytest.raises(ConfigError, match="`dtype` is 'float64'; expected float32 for precision bf16"):
        Model.create(5, (3,), device="cpu", dtype="float64", precision="bf16")


def test_the_reference_refuses_bf16() -> None:
    with pytest.raises(BackendError, match="precision bf16 needs `device` cpu"):
        Model.create(5, (3,), device="reference", precision="bf16")


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_what_only_a_gpu_multiplies(precision: str) -> None:
    with pytest.raises(BackendError, match=f"precision {precision} needs `device` gpu"):
        Model.create(5, (3,), device="cpu", precision=precision)
    with pytest.raises(BackendError, match=f"precision {precision} needs `device` gpu$"):
        Model.create(5, (3,), device="reference", precision=precision)
    with pytest.raises(ConfigError, match=f"expected float32 for precision {precision}"):
        Model.create(5, (3,), device="cpu", dtype="float64", precision=precision)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_run_of_a_gpu_goes_on_elsewhere_in_float32(device: str) -> None:
    file = reference_run().to_file()
    assert file.state is not None
    object.__setattr__(file.state.config, "precision", "tf32")
    with pytest.raises(BackendError, match="`device` gpu; use `precision` float32 to continue this run"):
        resume._resumed(file, registry.load(device), None)
    assert resume._resumed(file, registry.load(device), "float32")[0].model.precision == "float32"


@pytest.mark.usefixtures("without_bf16")
def test_a_processor_without_the_instruction_refuses_bf16() -> None:
    with pytest.raises(BackendError, match=f"precision bf16 is not available: {MISSING}; use float32"):
        Model.create(5, (3,), device="cpu", precision="bf16")


def reference_run(precision: str = "float32") -> TrainingState:
    model = Model(CONFIG, parameters.initialise(CONFIG, 0), registry.load("reference"), vocab=CharVocab("abcde"))
    return TrainingState.start(model, TrainingSettings(steps=3, precision=precision))


def test_a_run_and_its_network_are_of_one_precision() -> None:
    with pytest.raises(ConfigError, match="precision is bf16, but the network's is float32; expected the same"):
        reference_run("bf16")


@pytest.mark.usefixtures("without_bf16")
def test_a_resumed_run_keeps_its_precision_unless_told_otherwise() -> None:
    file = reference_run().to_file()
    with pytest.raises(BackendError, match=MISSING):
        TrainingState.resume(file, registry.load("cpu"), precision="bf16")
    assert file.state is not None
    object.__setattr__(file.state.config, "precision", "bf16")
    with pytest.raises(BackendError, match=MISSING):
        TrainingState.resume(file, registry.load("cpu"))
    run = TrainingState.resume(file, registry.load("cpu"), precision="float32")
    assert run.model.precision == "float32"
    assert run.to_file().state.config.precision == "float32"  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        ({"NUMLSTM_AMX": "off", "NUMLSTM_BF16": "emulated"}, ""),
        ({"NUMLSTM_AMX": "emulated"}, ""),
        ({"NUMLSTM_AMX": "off"}, "" if processor.bf16_instructions() else "no instruction for bf16 products"),
        ({}, processor.tiles_missing()),
    ],
    ids=["emulated", "emulated tiles", "native", "native tiles"],
)
def test_bf16_learns_what_float32_learns_and_resumes_to_the_same_bits(asked: dict[str, str], missing: str) -> None:
    if missing:
        pytest.skip(missing)
    script = Path(__file__).with_name("precision_run.py")
    environment = {**os.environ, **asked}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["float32"]["own"] < 2.6, "hardly anything was learned"
    assert found["float32"]["own"] == pytest.approx(found["float32"]["in_float32"], abs=1e-6)
    for loss in found["bf16"].values():
        assert loss == pytest.approx(found["float32"]["own"], abs=0.01)
    assert found["bf16"]["own"] != found["float32"]["own"], "bf16 was not used"
    assert found["same_bits"]
