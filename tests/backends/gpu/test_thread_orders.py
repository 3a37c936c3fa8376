"""Rung 2: kernels compute the same whatever the order of a block's threads, and correctly on every card."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends import reference, registry
from tests import emulation
from tests.backends.contract import assert_close, assert_same, dense_inputs, doubled, layer_inputs, run_dense, run_layer

pytestmark = [
    pytest.mark.skipif(bool(emulation.missing()), reason=emulation.missing() or "can be emulated"),
    pytest.mark.skipif("gpu" not in registry.names(), reason="there is no backend for the GPU"),
]
# (T, B, D, H)
SHAPES = [
    (2, 3, 5, 33),
    *(pytest.param(each, marks=pytest.mark.slow) for each in [(3, 1, 2, 1), (5, 9, 4, 20), (2, 5, 3, 257)]),
]
CARDS = {75: (64, 20), 90: (227, 132)}  # shared memory per block (KiB), multiprocessors


def on_a_card(sm, order, compute):
    """Return `compute(backend)` on an emulated card with this thread order (see `Emulation`)."""
    with emulation.emulated() as device:
        device.order, device.card.sm = order, sm
        shared, device.card.processors = CARDS[sm]
        device.card.shared_per_block = shared * 1024
        return compute(registry.load("gpu"))


@pytest.mark.parametrize("path", ["resident", "steps"])
@pytest.mark.parametrize("tokens", [True, False], ids=["tokens", "activations"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer(shape, tokens, path, monkeypatch):
    monkeypatch.setenv("NUMLSTM_GPU_PATH", path)
    inputs = layer_inputs(np.random.default_rng(sum(shape)), shape, "float32", tokens=tokens)
    expected, _ = run_layer(reference, doubled(inputs), tokens=tokens)
    for sm in CARDS:
        found = [on_a_card(sm, order, lambda on: run_layer(on, inputs, tokens=tokens)[0]) for order in (0, 1, 7)]
        assert_close(found[0], expected, "float32")
        for other in found[1:]:
            assert_same(other, {name: values for name, values in found[0].items() if values is not None})


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 2), pytest.param((33, 70, 70), marks=pytest.mark.slow)], ids=str)
def test_dense(shape):
    inputs = dense_inputs(np.random.default_rng(sum(shape)), shape, "float32")
    found = [on_a_card(90, order, lambda on: run_dense(on, inputs)) for order in (0, 1, 7)]
    assert_close(found[0], run_dense(reference, doubled(inputs)), "float32")
    for other in found[1:]:
        assert_same(other, found[0])
