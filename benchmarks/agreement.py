"""Do the contestants of `train.py` compute the same? Compares losses, norms and every parameter's gradient.

Losses and norms of a few steps alone would not show that the output layer's gradient is zero. The gradients are
compared with those computed in float64.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .contest import Worker
from .precisions import BF16, OURS, is_ours, precision_of, tolerances

_STEPS = 5
_MARGIN = 1.5  # times PyTorch's error in bf16, for each parameter

Gradients = dict[str, npt.NDArray[Any]]
Errors = dict[str, dict[str, float]]  # of each contestant, by quantity or parameter


def verify(workers: Mapping[str, Worker], exact: Worker) -> dict[str, Any]:
    """Return the first losses and norms, and all relative errors. Raises `RuntimeError` if one is too large.

    `exact` computes gradients in float64. Call this before the workers have taken any step.
    """
    gradients = gradient_errors(workers, exact)
    return {**first_steps(workers), "gradient_errors": gradients, "exact": exact.ask("about")["device"]}


def first_steps(workers: Mapping[str, Worker]) -> dict[str, Any]:
    """Compare the losses and gradient norms of the first steps with numlstm's in float32."""
    steps = {name: worker.ask("first_steps", steps=_STEPS) for name, worker in workers.items()}
    errors = {name: _step_errors(name, theirs, steps[OURS]) for name, theirs in steps.items() if name != OURS}
    losses, norms = zip(*steps[OURS], strict=True)
    return {"losses": losses, "gradient_norms": norms, "largest_relative_errors": errors}


def _step_errors(name: str, found: list[list[float]], expected: list[list[float]]) -> dict[str, float]:
    worst = {}
    for place, what in enumerate(("loss", "gradient_norm")):
        allowed = tolerances(name)[what]
        relative = [abs(a[place] / b[place] - 1) for a, b in zip(found, expected, strict=True)]
        for step, error in enumerate(relative):
            if not error <= allowed:
                values = f"{found[step][place]} from {name} and {expected[step][place]} from {OURS}"
                raise RuntimeError(f"step {step + 1}: {what} is {values}; expected them to agree to {allowed:g}")
        worst[what] = max(relative)
    return worst


def gradient_errors(workers: Mapping[str, Worker], exact: Worker) -> Errors:
    """Compare every parameter's gradient of one step from the initial parameters with the exact one."""
    with tempfile.TemporaryDirectory() as folder:
        expected = _saved_gradients(exact, Path(folder))
        errors = {
            name: _relative_errors(_saved_gradients(each, Path(folder)), expected) for name, each in workers.items()
        }
    for name, each in errors.items():
        for parameter, error in each.items():
            _check(name, parameter, error, tolerances(name)["gradient"], "")
    ours = errors.get(f"{OURS} {BF16}", {})
    theirs = [each for name, each in errors.items() if precision_of(name) == BF16 and not is_ours(name)]
    for each in theirs:
        for parameter, error in ours.items():
            _check(
                f"{OURS} {BF16}", parameter, error, _MARGIN * each[parameter], f", {_MARGIN} times PyTorch's in bf16"
            )
    return errors


def _saved_gradients(worker: Worker, folder: Path) -> Gradients:
    """Return the gradients that a worker writes to a file: they are too large for its pipe."""
    path = folder / "gradients.npz"
    worker.ask("save_gradients", path=str(path))
    with np.load(path) as file:
        return dict(file)


def _relative_errors(found: Gradients, expected: Gradients) -> dict[str, float]:
    if found.keys() != expected.keys():
        raise RuntimeError(f"there are gradients of {sorted(found)}; expected {sorted(expected)}")
    return {
        name: float(np.linalg.norm(found[name] - value) / np.linalg.norm(value)) for name, value in expected.items()
    }


def _check(name: str, parameter: str, error: float, allowed: float, why: str) -> None:
    if not error <= allowed:
        raise RuntimeError(
            f"the gradient of {parameter} by {name} has a relative error of {error:.2g}; "
            f"expected at most {allowed:.2g}{why}"
        )
