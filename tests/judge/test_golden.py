"""PyTorch's results from a file, for machines without PyTorch: see `tests/golden/make_golden.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.judge import cases

GOLDEN = Path(__file__).parent.parent / "golden" / "golden.npz"


@pytest.fixture(scope="module")
def golden():
    """Return a function from a prefix in the file to the arrays below it, by name."""
    with np.load(GOLDEN, allow_pickle=False) as file:
        arrays = dict(file)

    def at(place):
        return {name[len(place) + 1 :]: values for name, values in arrays.items() if name.startswith(f"{place}/")}

    return at


def test_outputs_and_gradients_of_a_stack(backend, golden):
    expected = golden("stack/out")
    assert len(expected) == 1 + 1 + 3 * 7
    cases.assert_stack(cases.run_stack(backend, golden("stack/in")), expected)


def test_logits_and_gradients_of_a_network(backend, golden):
    expected = golden("first/out")
    assert len(expected) == 2 + 2 * 3 + 2
    cases.assert_first_step(cases.run_first_step(backend, golden("training/in")), expected)


def test_a_hundred_steps_of_training(backend, golden):
    cases.assert_training(cases.run_training(backend, golden("training/in")), golden("training/out"))


def test_the_file_sees_a_difference(backend, golden):
    case = golden("stack/in")
    for name in case:
        changed = {**case, name: case[name] * (1 + 1e-6)}
        with pytest.raises(AssertionError):
            cases.assert_stack(cases.run_stack(backend, changed), golden("stack/out"))
