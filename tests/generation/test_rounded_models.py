"""Models with weights in bf16 or int8: what is rounded, who writes the same text, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import numlstm
from numlstm.backends.spec.rounding import ROUNDINGS, rounded
from numlstm.errors import ConfigError
from numlstm.model import Model, device_for, generation_model
from numlstm.network import parameters, weights_file
from numlstm.settings.network import NetworkSettings
from numlstm.text.vocab.char import CharVocab

pytestmark = pytest.mark.slow  # compiles ten kernels

SYMBOLS = "\n abcdefgh"
KINDS = {
    "plain": {},
    "embedding": {"embedding": 7},
    "tied": {"embedding": 6, "tie_weights": True},
    "projection and norm": {"projection": 5, "layer_norm": True},
    "hard gates": {"gate_activation": "hard-sigmoid"},
}


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    """Write the weights file of an untrained network of each kind."""
    config = NetworkSettings(len(SYMBOLS), (10, 6), **KINDS[request.param])
    flat = 3 * parameters.initialise(config, 1)
    weights_file.save(tmp_path / "w.npz", weights_file.WeightsFile(config, CharVocab(SYMBOLS), flat, {}, None))
    return tmp_path / "w.npz"


@pytest.mark.parametrize("precision", ROUNDINGS)
def test_all_weights_of_products_are_rounded(path, precision):
    full, model = (numlstm.load(path, device="reference", precision=each).params for each in ("float32", precision))
    looked_up = "embedding.W" if "embedding.W" in full else "lstm.0.W_x"
    for name, W in full.items():
        expected = W
        if name == "embedding.W" and "output.W" not in full:
            expected = rounded(W.T, precision).T
        elif W.ndim == 2 and name != looked_up:
            expected = rounded(W, precision)
            assert (expected != W).any()
        np.testing.assert_array_equal(model[name], expected)


@pytest.mark.parametrize("precision", ROUNDINGS)
@pytest.mark.parametrize("path", ["plain", pytest.param("tied", marks=pytest.mark.slow)], indirect=True)
def test_the_kernels_write_what_numpy_writes(path, precision):
    file, options = weights_file.load(path), {"length": 60, "temperature": 1.0, "seed": 3}
    expected = generation_model(file, numlstm.backends.registry.load("reference"), precision=precision)
    model = numlstm.load(path, device="cpu", precision=precision)
    assert model.reads_rounded == (not file.config.embedding)
    assert model.generate("head", **options) == expected.generate("head", **options)
    assert model.score("a bad cafe") == pytest.approx(expected.score("a bad cafe"), rel=1e-5)


@pytest.mark.parametrize("path", ["plain"], indirect=True)
def test_parameters_set_later_are_rounded_and_pickles_stay_rounded(path):
    full, model = (numlstm.load(path, device="reference", precision=each) for each in ("float32", "int8"))
    before = model.params
    model.set_params(full.params)
    for found in (model, pickle.loads(pickle.dumps(model))):
        assert found.rounding == "int8"
        for name, W in found.params.items():
            np.testing.assert_array_equal(W, before[name])


@pytest.mark.parametrize("path", ["plain"], indirect=True)
def test_another_precision_is_refused(path):
    with pytest.raises(ConfigError, match="`precision` is 'int4'; expected float32 or bf16 or int8"):
        numlstm.load(path, precision="int4")


def test_auto_is_the_cpu_for_rounded_weights():
    assert [device_for("auto", each) for each in ("float32", "bf16", "int8")] == ["auto", "cpu", "cpu"]
    assert device_for("gpu", "int8") == "gpu"


def test_a_model_without_rounding_keeps_its_parameters():
    config = NetworkSettings(5, (3,))
    flat = parameters.initialise(config, 0)
    assert parameters.rounded(flat, config, "") is flat
    assert Model.create(5, (3,), device="reference").rounding == ""
