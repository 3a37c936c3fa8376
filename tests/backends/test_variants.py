"""Layer norm, projection, hard gates, embedding and dropout: every backend against `reference`, on edge-case shapes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from numlstm.analysis import gradient_check
from numlstm.analysis.gradient_cases import Network, Sizes, Stack
from numlstm.backends import reference
from numlstm.backends.reference import drawing
from numlstm.backends.spec import sampling
from numlstm.backends.spec.dropout import Dropout, Mask
from numlstm.model import Model

# These kernels take as long to compile as the rest of the backend: one dtype here, the other in the slow tests.
DTYPES = ("float64", pytest.param("float32", marks=pytest.mark.slow))
ALLOWED = {"float64": 1e-10, "float32": 1e-3}  # relative to an entry, or to 3 % of the array's largest if that is more

OPTIONS = {
    "plain": {},
    "projection": {"projection": 5},
    "wide projection": {"projection": 19},
    "layer norm": {"layer_norm": True},
    "hard gates": {"hard": True},
    "recurrent dropout": {"recurrent": 0.4},
    "layer norm and projection": {"layer_norm": True, "projection": 17},
    "all": {"layer_norm": True, "projection": 6, "hard": True, "recurrent": 0.3},
}
# T, B, D, V, layers: one step, one row, registers one short, full and one over, more rows than cores.
SHAPES = [
    Sizes(1, 3, 2, 5, (5,)),
    Sizes(6, 1, 3, 4, (7,)),
    Sizes(3, 5, 1, 3, (15, 16)),
    Sizes(4, 7, 33, 17, (17, 33)),
    Sizes(2, 33, 4, 70, (70,)),
]


def worst(backend, subject, dtype):
    agreement = gradient_check.AGREEMENTS[dtype]
    inputs = {name: values.astype(dtype) for name, values in subject.inputs.items()}
    output, found = subject.gradients(backend, inputs)
    exact, expected = subject.gradients(reference, {name: values.astype(np.float64) for name, values in inputs.items()})
    floor = agreement.floor
    errors = {name: gradient_check.relative_error(found[name], expected[name], floor) for name in inputs}
    errors["output"] = gradient_check.relative_error(output, exact, floor)
    return {name: error for name, error in errors.items() if error > ALLOWED[dtype]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda sizes: f"{sizes.T},{sizes.B},{sizes.D},{sizes.layers}")
def test_a_stack(backend, shape, options, dtype):
    subject = Stack(np.random.default_rng(0), dataclasses.replace(shape, **options))
    assert worst(backend, subject, dtype) == {}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options",
    [
        {"embedding": 3},
        {"embedding": 33, "rate": 0.5},
        {"rate": 0.2, "recurrent": 0.5},
        {"embedding": 11, "projection": 11, "tie_weights": True},
        {"embedding": 18, "tie_weights": True, "layer_norm": True, "rate": 0.1},
        {"embedding": 6, "projection": 6, "tie_weights": True, "layer_norm": True, "hard": True, "recurrent": 0.3},
    ],
    ids=lambda options: "-".join(options),
)
def test_a_network(backend, options, dtype):
    subject = Network(np.random.default_rng(1), Sizes(5, 3, 0, 19, (9, 18), **options))
    assert worst(backend, subject, dtype) == {}


def model_of(backend, seed=0, **options):
    return Model.create(11, (18, 20), seed=seed, device=backend.name, dtype="float64", **options)


VARIED = [{"projection": 7}, {"layer_norm": True}, {"gate_activation": "hard-sigmoid"}, {"embedding": 5}]
VARIED += [{"embedding": 20, "tie_weights": True, "layer_norm": True}]


@pytest.mark.parametrize("options", VARIED, ids=str)
def test_memory_of_other_passes_changes_nothing(backend, options):
    """Earlier passes with other dropout, ids and lengths do not change a bit of the result."""
    rng = np.random.default_rng(2)
    (x, y), (u, v) = rng.integers(0, 11, (2, 2, 6, 5))
    masks = Dropout(0.3, 0.4, seed=1, step=2)
    expected = model_of(backend, **options).loss_and_gradients(x, y, dropout=masks)
    model = model_of(backend, **options)
    model.loss_and_gradients(u, v, dropout=Dropout(0.5, 0.1, seed=1, step=3))
    model.loss_and_gradients(u, v)
    model.loss_and_gradients(u[:2], v[:2], dropout=masks)
    loss, grads, state = model.loss_and_gradients(x, y, dropout=masks)
    assert loss == expected[0]
    for name, values in expected[1].items():
        np.testing.assert_array_equal(grads[name], values, err_msg=name)
    for pair, expected_pair in zip(state, expected[2], strict=True):
        for part, values in zip(pair, expected_pair, strict=True):
            np.testing.assert_array_equal(backend.to_numpy(part), backend.to_numpy(values))


@pytest.mark.parametrize("options", VARIED, ids=str)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_drawing_follows_the_logits(backend, options, temperature):
    """One call samples the same tokens and state as going token by token through `logits` and the reference sampler."""
    model, B, N = model_of(backend, seed=3, **options), 3, 12
    uniforms = np.random.default_rng(4).random((N, B))
    ids = np.array([1, 4, 10])
    drawn, after = model.draw(ids, model.zero_state(B), uniforms, temperature)
    state, expected = model.zero_state(B), []
    for n in range(N):
        logits, state = model.logits(ids[None], state)
        ids = drawing.draw(logits[0], uniforms[n], sampling.of(B, temperature))
        expected.append(ids)
    np.testing.assert_array_equal(drawn, expected)
    for pair, expected_pair in zip(after, state, strict=True):
        for part, values in zip(pair, expected_pair, strict=True):
            np.testing.assert_allclose(backend.to_numpy(part), backend.to_numpy(values), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", VARIED, ids=str)
def test_each_option_changes_what_is_computed(backend, options):
    ids = np.arange(11)[:, None]
    plain, varied = (model_of(backend, **chosen).logits(ids)[0] for chosen in ({}, options))
    assert np.abs(plain - varied).max() > 1e-3


@pytest.mark.parametrize("options", [{}, *VARIED], ids=str)
def test_setting_parameters_packs_them_all(backend, options):
    ids = np.arange(11)[:, None]
    first, second = (model_of(backend, seed=seed, **options) for seed in (0, 1))
    first.set_params(second.params)
    np.testing.assert_array_equal(first.logits(ids)[0], second.logits(ids)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 7), (2, 5, 16), (4, 3, 33), (1, 2, 130)], ids=str)
def test_dropout_leaves_out_what_the_mask_says(backend, shape, dtype):
    x = np.random.default_rng(5).uniform(1, 2, shape).astype(dtype)
    mask = Mask(0.3, seed=2**40 + 7, step=2**33 + 1, place=3)
    found = backend.to_numpy(backend.dropout(backend.asarray(x), mask))
    np.testing.assert_allclose(found, x * mask.factors(shape, "float64"), rtol=1e-6 if dtype == "float32" else 1e-15)
    on = backend.asarray(x)
    np.testing.assert_array_equal(backend.to_numpy(backend.dropout(on, mask, out=on)), found)


def test_dropout_does_not_depend_on_threads(backend):
    x = np.random.default_rng(6).uniform(1, 2, (5, 7, 19))
    mask = Mask(0.5, 0, 0, 0)
    backend.set_threads(1)
    try:
        one = backend.to_numpy(backend.dropout(backend.asarray(x), mask))
    finally:
        backend.set_threads(None)
    np.testing.assert_array_equal(backend.to_numpy(backend.dropout(backend.asarray(x), mask)), one)


def test_recurrent_dropout_hides_the_same_units_at_all_steps(backend):
    """A dropped unit gets no gradient through W_h, over any number of steps."""
    B, T = 1, 6
    model = model_of(backend)
    dropout = Dropout(0.0, 0.5, seed=3, step=4)
    ids = np.random.default_rng(7).integers(0, 11, (T, B))
    _, grads, _ = model.loss_and_gradients(ids, ids, dropout=dropout)
    for layer, H in enumerate(model.config.layers):
        hidden = dropout.within(layer).factors((B, H), "float64")[0] == 0
        assert 0 < hidden.sum() < H
        assert not grads[f"lstm.{layer}.W_h"][hidden].any()
        assert (np.abs(grads[f"lstm.{layer}.W_h"][~hidden]).max(axis=1) > 0).all()


def test_validation_and_drawing_leave_nothing_out(backend):
    model = model_of(backend)
    ids = np.arange(11)[:, None]
    before = float(model.loss(ids, ids)[0])
    model.loss_and_gradients(ids, ids, dropout=Dropout(0.5, 0.5))
    assert float(model.loss(ids, ids)[0]) == before
    assert float(model.loss(ids, ids, dropout=Dropout(0.5, 0.0))[0]) != before
    assert float(model.loss(ids, ids, dropout=Dropout(0.0, 0.5))[0]) != before
