"""The kernel cases do the same work on every call, and their check detects wrong results."""

import numpy as np
import pytest

from benchmarks.cases import TOLERANCE, cases, largest_error
from benchmarks.shapes import Shape
from numlstm.backends import reference

CASES = list(cases(Shape((8, 8), batch_size=2, seq_len=3, vocab_size=5)))


def test_every_kernel_of_the_seam_has_a_case():
    names = {case.name.partition(",")[0] for case in CASES}
    assert names == {
        "lstm_forward",
        "lstm_backward",
        "dense_forward",
        "dense_backward",
        "softmax_cross_entropy",
        "global_norm",
        "adam_",
        "generate",
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_float32_agrees_with_float64(case):
    found, expected = (case.make(reference, dtype).run_once() for dtype in ("float32", "float64"))
    assert largest_error(reference, found, expected) <= TOLERANCE


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.name.startswith("adam_")], ids=lambda case: case.name
)
def test_a_second_call_gives_the_same(case):
    call = case.make(reference, "float64")
    first = {name: np.copy(value) for name, value in call.run_once().items() if value is not None}
    for name, value in call.run_once().items():
        if value is not None:
            np.testing.assert_array_equal(value, first[name], err_msg=name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_by_a_two_thousandth_is_told(case):
    expected = case.make(reference, "float64").run_once()
    for name, value in expected.items():
        if value is not None:
            wrong = {**expected, name: value * 1.0005}
            assert largest_error(reference, wrong, expected) > TOLERANCE, name


def test_nothing_passes_for_not_a_number():
    expected = {"norm": 1.0, "h": np.ones(3)}
    for wrong in ({"norm": np.nan, "h": np.ones(3)}, {"norm": 1.0, "h": np.array([1.0, np.nan, 1.0])}):
        assert not largest_error(reference, wrong, expected) <= TOLERANCE
