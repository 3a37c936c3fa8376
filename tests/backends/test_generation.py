"""Generation by every backend against `reference`: the same tokens and the same final state."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.backends.spec import sampling
from tests.backends.contract import assert_close, frozen, network, random_state


# The sampling kernel is compiled for each number of layers: two here, others in the slow tests.
def slow(layers):
    return pytest.param(layers, marks=pytest.mark.slow)


BELOW_ONE = np.nextafter(1.0, 0.0)


def draw(backend, uniforms, temperature, *, V=11, layers=(9, 20), seed=0, state=None, ids=None):
    packed, output = network(backend, seed, V, layers)
    B = uniforms.shape[1]
    how = temperature if isinstance(temperature, sampling.Sampling) else sampling.of(B, temperature)
    state = random_state(backend, seed, layers, B) if state is None else state
    kept = [[backend.to_numpy(part) for part in pair] for pair in state]
    ids, before = frozen(np.arange(B) % V if ids is None else ids, np.int32), uniforms.copy()
    tokens, after = backend.generate(packed, output, state, backend.asarray(ids), uniforms, how)
    np.testing.assert_array_equal(uniforms, before)
    for pair, copies in zip(state, kept, strict=True):
        for part, copy in zip(pair, copies, strict=True):
            np.testing.assert_array_equal(backend.to_numpy(part), copy)
    return tokens, [tuple(backend.to_numpy(part) for part in pair) for pair in after]


def assert_same_state(found, expected, dtype="float64"):
    for (h, c), (expected_h, expected_c) in zip(found, expected, strict=True):
        assert_close({"h": h, "c": c}, {"h": expected_h, "c": expected_c}, dtype)


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 0.25, 1.0, 3.0, 1e300])
@pytest.mark.parametrize(("N", "B"), [(1, 1), (40, 1), (41, 3), (12, 9)])
def test_generated_tokens(backend, N, B, temperature):
    uniforms = np.random.default_rng(N).random((N, B))
    tokens, state = draw(backend, uniforms, temperature)
    expected, expected_state = draw(reference, uniforms, temperature)
    assert tokens.dtype == np.int32
    np.testing.assert_array_equal(tokens, expected)
    assert_same_state(state, expected_state)


@pytest.mark.parametrize("V", [1, 2, 3, 16, 33, 5000])
@pytest.mark.parametrize(
    "layers", [(70, 1), (18, 15), *(slow(each) for each in ((1,), (70,), (9, 1, 20), (7, 33, 16), (18, 15, 17)))]
)
def test_generated_tokens_of_other_networks(backend, V, layers):
    uniforms = np.random.default_rng(V).random((9, 2))
    tokens, state = draw(backend, uniforms, 1.0, V=V, layers=layers)
    expected, expected_state = draw(reference, uniforms, 1.0, V=V, layers=layers)
    np.testing.assert_array_equal(tokens, expected)
    assert_same_state(state, expected_state)


@pytest.mark.parametrize("temperature", [0.0, 1e-300])
def test_cold_takes_the_likeliest_whatever_the_number(backend, temperature):
    greedy, _ = draw(backend, np.zeros((30, 2)), 0.0)
    assert len(np.unique(greedy)) > 1
    for uniforms in (np.random.default_rng(0).random((30, 2)), np.zeros((30, 2)), np.full((30, 2), BELOW_ONE)):
        for drawn_by in (backend, reference):
            np.testing.assert_array_equal(draw(drawn_by, uniforms, temperature)[0], greedy)


def test_hot_takes_each_token_as_often_as_any_other(backend):
    uniforms = np.random.default_rng(0).random((30, 2))
    uniforms[0], uniforms[1] = 0.0, BELOW_ONE
    for drawn_by in (backend, reference):
        np.testing.assert_array_equal(draw(drawn_by, uniforms, 1e300)[0], (uniforms * 11).astype(int))


@pytest.mark.parametrize("cut", [1, 6, 7, 12])
def test_generation_goes_on_exactly(backend, cut):
    """Two calls, the second resuming from the first one's state and last token, sample the same as one call."""
    uniforms = np.random.default_rng(8).random((13, 3))
    whole, state = draw(backend, uniforms, 1.0)
    first, between = draw(backend, uniforms[:cut], 1.0)
    carried = [tuple(backend.asarray(part) for part in pair) for pair in between]
    second, after = draw(backend, uniforms[cut:], 1.0, state=carried, ids=first[-1])
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    for pair, expected in zip(after, state, strict=True):
        np.testing.assert_array_equal(pair, expected)


@pytest.mark.parametrize("layers", [(5, 17), slow((5, 17, 2))])
def test_generation_in_float32(backend, layers):
    packed, output = network(backend, 0, 6, layers, "float32")
    state = random_state(backend, 0, layers, 2, "float32")
    ids, uniforms = np.zeros(2, np.int32), np.random.default_rng(0).random((7, 2))
    tokens, after = backend.generate(packed, output, state, backend.asarray(ids), uniforms, sampling.of(2))
    exact, exact_output = network(reference, 0, 6, layers, "float64")
    expected, expected_after = reference.generate(
        exact, exact_output, random_state(reference, 0, layers, 2), ids, uniforms, sampling.of(2)
    )
    np.testing.assert_array_equal(tokens, expected)
    assert_same_state([tuple(map(backend.to_numpy, pair)) for pair in after], expected_after, "float32")


def assert_nothing_changed(found, given):
    for pair, expected in zip(found, given, strict=True):
        for part, values in zip(pair, expected, strict=True):
            np.testing.assert_array_equal(part, values)


def test_no_tokens_at_all(backend):
    given = random_state(backend, 0, (9, 20), 3)
    tokens, after = draw(backend, np.zeros((0, 3)), 1.0, state=given)
    assert tokens.shape == (0, 3)
    assert_nothing_changed(after, [[backend.to_numpy(part) for part in pair] for pair in given])


@pytest.mark.parametrize("B", [1, 2, 5, 64])
def test_many_streams(backend, B):
    """A batch samples what the reference does, and each stream the same as alone, with bit-identical state."""
    uniforms, first = np.random.default_rng(B).random((20, B)), np.random.default_rng(B).integers(0, 11, B)
    tokens, state = draw(backend, uniforms, 1.0, ids=first)
    expected, expected_state = draw(reference, uniforms, 1.0, ids=first)
    np.testing.assert_array_equal(tokens, expected)
    assert_same_state(state, expected_state)
    given = random_state(backend, 0, (9, 20), B)
    for b in range(0, B, 1 + B // 8):
        own = [tuple(backend.asarray(backend.to_numpy(part)[b : b + 1]) for part in pair) for pair in given]
        alone, alone_state = draw(backend, uniforms[:, b : b + 1], 1.0, ids=first[b : b + 1], state=own)
        np.testing.assert_array_equal(alone[:, 0], tokens[:, b])
        assert_nothing_changed(alone_state, [[part[b : b + 1] for part in pair] for pair in state])


@pytest.mark.parametrize("B", [1, 5])
def test_threads_change_nothing(backend, B):
    uniforms, found = np.random.default_rng(B).random((20, B)), []
    most = backend.set_threads(None)
    try:
        for threads in sorted({1, min(2, most), most}):
            backend.set_threads(threads)
            found.append(draw(backend, uniforms, 1.0))
    finally:
        backend.set_threads(None)
    for tokens, state in found[1:]:
        np.testing.assert_array_equal(tokens, found[0][0])
        assert_nothing_changed(state, found[0][1])
