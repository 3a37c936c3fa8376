"""Generation with rounded weights, by every backend against `reference` in float64 with the same rounded weights."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends import cpu, reference
from numlstm.backends.spec import sampling
from numlstm.backends.spec.rounding import ROUNDINGS
from numlstm.errors import BackendError
from tests.backends.contract import assert_close, network, random_state

pytestmark = pytest.mark.slow  # compiles ten kernels


def draw(backend, rounding, dtype, uniforms, layers, V):
    packed, output = network(backend, 1, V, layers, dtype, rounding)
    form = backend.pack_rounded(packed, output, rounding)
    B = uniforms.shape[1]
    state, ids = random_state(backend, 1, layers, B, dtype), np.arange(B, dtype=np.int32) % V
    return backend.generate(packed, output, state, ids, uniforms, sampling.of(B), None, form)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("layers", "V", "B"), [((9, 20), 11, 1), ((70, 33), 65, 3), ((18, 15), 300, 9)])
def test_tokens_and_state_are_those_of_the_reference(backend, rounding, layers, V, B):
    if backend.name == "gpu":
        pytest.skip("the GPU refuses rounded weights: see below")
    uniforms = np.random.default_rng(V).random((24, B))
    tokens, state = draw(backend, rounding, "float32", uniforms, layers, V)
    expected, expected_state = draw(reference, rounding, "float64", uniforms, layers, V)
    np.testing.assert_array_equal(tokens, expected)
    for (h, c), (expected_h, expected_c) in zip(state, expected_state, strict=True):
        assert_close({"h": h, "c": c}, {"h": expected_h, "c": expected_c}, "float32", 1e-4)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_weights_that_are_read_are_the_rounded_ones(rounding):
    """Drawing from the stored form and from the packed float32 weights, which hold the same numbers, gives one text."""
    packed, output = network(cpu, 1, 40, (40, 24), "float32", rounding)
    state, uniforms = random_state(cpu, 1, (40, 24), 2, "float32"), np.random.default_rng(0).random((30, 2))
    found = [
        cpu.generate(packed, output, state, np.zeros(2, np.int32), uniforms, sampling.of(2), None, form)[0]
        for form in (None, cpu.pack_rounded(packed, output, rounding))
    ]
    np.testing.assert_array_equal(*found)


def test_stored_weights_take_a_half_and_a_quarter_of_the_bytes():
    packed, output = network(cpu, 1, 32, (64, 64), "float32")
    full = 4 * (3 * 64 * 256 + 64 * 32)
    found = [cpu.pack_rounded(packed, output, rounding).nbytes for rounding in ROUNDINGS]
    assert found == [full // 2, full // 4]


def test_what_a_backend_does_not_support_is_one_line(backend):
    packed, output = network(backend, 1, 5, (3,), "float64")
    with pytest.raises(
        BackendError, match=r"^[^\n]+expected float32[^\n]+int8$|^the device gpu draws in float32[^\n]+$"
    ):
        backend.pack_rounded(packed, output, "int8")
