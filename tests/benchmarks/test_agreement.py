"""The contestants' losses, norms and gradients are compared, and a contestant that is wrong is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import agreement, shapes, train, with_numlstm
from benchmarks.shapes import Shape
from numlstm.backends import cpu
from tests.benchmarks.conftest import WorkerHere

SHAPE = Shape((8, 8), batch_size=2, seq_len=4, vocab_size=5)
FIELDS = dataclasses.asdict(SHAPE)
EXACT = {"output.W": np.array([[3.0, 4.0]]), "output.b": np.array([5.0])}


class Answering:
    """A worker without a process, with prepared losses, norms and gradients."""

    def __init__(self, steps: Any = (), gradients: Any = EXACT) -> None:
        self.steps, self.gradients = steps, gradients

    def ask(self, question: str, **values: Any) -> Any:
        if question == "save_gradients":
            np.savez(values["path"], **self.gradients)
        return {"first_steps": self.steps, "about": {"device": "exact"}}.get(question)


def off_by(share: float, parameter: str = "output.W") -> Answering:
    """Return a worker whose gradient of one parameter is wrong by this share of its norm."""
    return Answering(gradients={**EXACT, parameter: EXACT[parameter] * (1 + share)})


def errors(**workers: Answering) -> agreement.Errors:
    named = {name.replace("_", " "): worker for name, worker in workers.items()}
    return agreement.gradient_errors(named, Answering())  # type: ignore[arg-type]


def test_losses_and_norms_that_differ_are_refused() -> None:
    ours = Answering([[4.0, 1.0], [3.0, 1.0]])
    same = Answering([[4.0, 1.0], [3.0, 1.00005]])
    found = agreement.first_steps({"numlstm": ours, "torch tuned": same})  # type: ignore[dict-item]
    assert found["largest_relative_errors"]["torch tuned"] == {"loss": 0.0, "gradient_norm": pytest.approx(5e-5)}
    for wrong in ([3.01, 1.0], [3.0, 1.001], [float("nan"), 1.0]):
        with pytest.raises(RuntimeError, match="step 2"):
            agreement.first_steps({"numlstm": ours, "torch tuned": Answering([[4.0, 1.0], wrong])})  # type: ignore[dict-item]


@pytest.mark.parametrize("precision", ["bf16", "bf16 math"])
def test_losses_in_bf16_may_differ_by_more(precision: str) -> None:
    ours, name = Answering([[4.0, 1.0]]), f"torch {precision} tuned"
    agreement.first_steps({"numlstm": ours, name: Answering([[4.03, 1.04]])})  # type: ignore[dict-item]
    with pytest.raises(RuntimeError, match="loss"):
        agreement.first_steps({"numlstm": ours, name: Answering([[4.05, 1.0]])})  # type: ignore[dict-item]


def test_each_parameter_has_a_relative_error() -> None:
    found = errors(numlstm=off_by(1e-5), torch_tuned=off_by(-1e-5, "output.b"))
    assert found["numlstm"] == {"output.W": pytest.approx(1e-5), "output.b": 0.0}
    assert found["torch tuned"] == {"output.W": 0.0, "output.b": pytest.approx(1e-5)}


@pytest.mark.parametrize(
    ("name", "share"),
    [("numlstm", 4e-5), ("numlstm_bf16x3", 4e-5), ("numlstm_bf16x2", 2e-3), ("torch_bf16_math_tuned", 0.1)],
)
def test_a_gradient_that_is_far_off_is_refused(name: str, share: float) -> None:
    for wrong in (share, -1.0, float("nan")):
        with pytest.raises(RuntimeError, match=r"gradient of output.b by .* has a relative error of"):
            errors(**{name: off_by(wrong, "output.b")})
    errors(**{name: off_by(share / 4)})


def test_ours_in_bf16_may_not_be_worse_than_pytorch() -> None:
    errors(numlstm_bf16=off_by(0.02), torch_bf16_default=off_by(0.015))
    with pytest.raises(RuntimeError, match=r"expected at most 0.018, 1.5 times PyTorch's in bf16"):
        errors(numlstm_bf16=off_by(0.02), torch_bf16_default=off_by(0.012))
    errors(numlstm_bf16=off_by(0.02), torch_bf16_math_tuned=off_by(0.0))
    errors(numlstm_bf16=off_by(0.0), torch_bf16_default=off_by(0.02))


def test_a_gradient_that_is_left_out_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"gradients of \['output.W'\]; expected \['output.W', 'output.b'\]"):
        errors(numlstm=Answering(gradients={"output.W": EXACT["output.W"]}))


def without_output_gradient(right: Callable[..., Any]) -> Callable[..., Any]:
    """Return `dense_backward` with the fault that losses and norms of five clipped steps hardly show."""

    def wrong(dlogits: Any, h: Any, packed: Any, dW: Any, db: Any) -> Any:
        return right(dlogits, h, packed, np.zeros_like(dW), db)

    return wrong


@pytest.mark.usefixtures("workers_here", "bf16_in_float32")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_an_output_layer_without_a_gradient_is_noticed(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    settings = {"shape": FIELDS, "threads": 1, "precision": precision, **train.SETTINGS}
    name = "numlstm" if precision == "float32" else f"numlstm {precision}"
    worker: Any = WorkerHere("with_numlstm", "train", settings)
    exact: Any = WorkerHere("with_numlstm", "exact", {"shape": FIELDS, "windows": 16})
    assert max(agreement.gradient_errors({name: worker}, exact)[name].values()) < 1e-5
    monkeypatch.setattr(cpu, "dense_backward", without_output_gradient(cpu.dense_backward))
    with pytest.raises(RuntimeError, match=f"gradient of output.W by {name} has a relative error of 1; expected at"):
        agreement.gradient_errors({name: worker}, exact)


def test_gradients_are_those_of_the_first_step() -> None:
    exact = with_numlstm.Exact(FIELDS, 16)
    training = with_numlstm.Training(FIELDS, 1, "float32", **train.SETTINGS)
    loss, _, _ = exact.model.loss_and_gradients(*shapes.first_window(SHAPE, 16))
    assert training.first_steps(1)[0][0] == pytest.approx(loss, rel=1e-6)
