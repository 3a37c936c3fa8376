"""Settings: values in range are accepted, errors name those out of range, and JSON round trips are lossless."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from numlstm.errors import ConfigError
from numlstm.settings.network import NetworkSettings
from numlstm.settings.precision import check_precision
from numlstm.settings.sampling import SamplingSettings
from numlstm.settings.training import OPTIMIZERS, SCHEDULES, TrainingSettings

GOOD = {NetworkSettings: {"vocab_size": 65}, TrainingSettings: {"steps": 10}, SamplingSettings: {}}

IN_RANGE = [
    (NetworkSettings, {"vocab_size": 1, "layers": (1,)}),
    (NetworkSettings, {"vocab_size": 2**24, "layers": (2**16,) * 64, "dtype": "float64"}),
    (NetworkSettings, {"vocab_size": 2, "layers": (3, 3), "embedding": 5, "projection": 5, "tie_weights": True}),
    (NetworkSettings, {"vocab_size": 2, "layer_norm": True, "gate_activation": "hard-sigmoid"}),
    (TrainingSettings, {"steps": 0, "batch_size": 1, "seq_len": 1, "lr": 1e-300, "warmup_steps": 0, "clip": 0}),
    (TrainingSettings, {"steps": 1, "lr_floor": 1, "beta1": 0, "beta2": 0.0, "val_split": 0.9, "seed": 2**63 - 1}),
    (TrainingSettings, {"steps": 1, "lr_floor": 0.0, "val_split": 0, "lr": 1, "precision": "bf16"}),
    *((TrainingSettings, {"steps": 1, "optimizer": name, **settings}) for name, settings in OPTIMIZERS.items()),
    *((TrainingSettings, {"steps": 1, "schedule": name}) for name in SCHEDULES),
    (TrainingSettings, {"steps": 1, "batching": "windows", "window_step": 3, "steps_per_epoch": 7, "patience": 2}),
    (TrainingSettings, {"steps": 1, "decay_rate": 1, "plateau_factor": 1e-9, "lr_power": 0, "momentum": 0, "rho": 0}),
    (SamplingSettings, {"length": 0, "temperature": 0, "seed": 0}),
    (SamplingSettings, {"temperature": 1e300}),
    (SamplingSettings, {"top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1e-9, "penalty_window": 1}),
    (SamplingSettings, {"top_k": 1, "top_p": 1e-9, "min_p": 1.0, "repetition_penalty": 100, "penalty_window": 2**20}),
    (SamplingSettings, {"stop": ("a", "b\n"), "ban": (" ",), "initials": "AB", "initials_of": "word"}),
]

OUT_OF_RANGE = [
    (NetworkSettings, "vocab_size", [0, -1, 2**24 + 1, 1.5, True, "65", None]),
    (NetworkSettings, "layers", [(), 128, "128", (0,), (1.0,), (True,), (128, -1), (2**16 + 1,), (1,) * 65, None]),
    (NetworkSettings, "dtype", ["float16", "f4", float, None]),
    (NetworkSettings, "embedding", [-1, 1.0, True, None, 2**16 + 1]),
    (NetworkSettings, "projection", [-1, 1.0, True, None, 2**16 + 1]),
    (NetworkSettings, "layer_norm", [0, 1, "yes", None]),
    (NetworkSettings, "tie_weights", [0, 1, "yes", None]),
    (NetworkSettings, "gate_activation", ["", "hard_sigmoid", "tanh", None]),
    (TrainingSettings, "steps", [-1, 1.0, False, None]),
    (TrainingSettings, "batch_size", [0, 2**20 + 1, 2.0]),
    (TrainingSettings, "seq_len", [0, 2**20 + 1, "64"]),
    (TrainingSettings, "lr", [0, 0.0, -1e-3, math.nan, math.inf, "1", True, None]),
    (TrainingSettings, "lr_floor", [-0.1, 1.1, math.nan]),
    (TrainingSettings, "warmup_steps", [-1, 0.5]),
    (TrainingSettings, "clip", [-1.0, math.nan, math.inf, None]),
    (TrainingSettings, "beta1", [-0.1, 1.0, 1.5, math.nan]),
    (TrainingSettings, "beta2", [-0.1, 1, math.inf]),
    (TrainingSettings, "epsilon", [0, -1e-8, math.nan]),
    (TrainingSettings, "val_split", [-0.1, 0.91, 1.0, math.nan]),
    (TrainingSettings, "seed", [-1, 2**63, 0.0]),
    (TrainingSettings, "precision", ["", "float64", "BF16", "float16", None, 16, True]),
    (TrainingSettings, "dropout", [-0.1, 1, 1.0, math.nan, None, True]),
    (TrainingSettings, "recurrent_dropout", [-0.1, 1, 1.0, math.nan, None, True]),
    (TrainingSettings, "optimizer", ["", "Adam", "lbfgs", None]),
    (TrainingSettings, "schedule", ["", "exponential", None]),
    (TrainingSettings, "batching", ["", "window", None]),
    *((TrainingSettings, name, [-1, 1.5, True, None]) for name in ("window_step", "steps_per_epoch", "patience")),
    (TrainingSettings, "reset_state", [-0.1, 1.0, None]),
    (TrainingSettings, "average", [-0.1, 1.0, "a", float("nan")]),
    *((TrainingSettings, name, [0, -1, 1.5, None]) for name in ("decay_steps", "plateau_patience")),
    *(
        (TrainingSettings, name, [-0.1, math.nan, math.inf, None])
        for name in ("clip_value", "weight_decay", "l1", "l2")
    ),
    (TrainingSettings, "initial_accumulator", [-0.1, math.nan, None]),
    *((TrainingSettings, name, [-0.1, 1, math.nan, None]) for name in ("momentum", "rho")),
    *((TrainingSettings, name, [0, 1.1, -0.5, math.nan, None]) for name in ("decay_rate", "plateau_factor")),
    (TrainingSettings, "lr_power", [0.1, -9, math.nan, None]),
    (TrainingSettings, "nesterov", [0, 1, "no", None]),
    (SamplingSettings, "length", [-1, 2.5, None]),
    (SamplingSettings, "temperature", [-0.1, math.nan, math.inf, "0.6", True]),
    (SamplingSettings, "seed", [-1, 2**63, "0"]),
    (SamplingSettings, "top_k", [-1, 1.5, None, True]),
    (SamplingSettings, "top_p", [0, 0.0, -0.1, 1.1, math.nan, None]),
    (SamplingSettings, "min_p", [-0.1, 1.1, math.nan, "0", None]),
    (SamplingSettings, "repetition_penalty", [0, -1, 101, math.inf, math.nan, None]),
    (SamplingSettings, "penalty_window", [0, -1, 2**20 + 1, 1.5]),
    (SamplingSettings, "stop", ["", [""], 3, None, ["a", 3]]),
    (SamplingSettings, "ban", ["", [""], 3, None, ["a", b"b"]]),
    (SamplingSettings, "initials", [None, 3, ["a"]]),
    (SamplingSettings, "initials_of", ["", "letter", None]),
]


@pytest.mark.parametrize(("kind", "values"), IN_RANGE)
def test_the_ends_of_each_range_are_in_it(kind, values):
    config = kind(**values)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for kind, name, wrong in OUT_OF_RANGE for value in wrong]
)
def test_what_is_out_of_range_is_named(kind, name, value):
    with pytest.raises(ConfigError, match=r"expected") as caught:
        kind(**{**GOOD[kind], name: value})
    message = str(caught.value)
    assert name.removesuffix("s") in message.replace(" ", "_").replace("layer_size", "layer")
    assert "\n" not in message


def test_every_setting_has_a_test_of_its_range():
    for kind in GOOD:
        tested = {name for of, name, _ in OUT_OF_RANGE if of is kind}
        assert tested == {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(("kind", "values"), IN_RANGE)
def test_json_brings_the_same_settings_back(kind, values):
    config = kind(**values)
    assert kind.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_one_text_is_a_list_of_one():
    assert SamplingSettings(stop="ab", ban=["c", "d"]) == SamplingSettings(stop=("ab",), ban=("c", "d"))


@pytest.mark.parametrize("kind", GOOD)
def test_unknown_and_missing_settings(kind):
    with pytest.raises(ConfigError, match="'colour'"):
        kind.from_dict({**GOOD[kind], "colour": 1})
    for required in GOOD[kind]:
        with pytest.raises(ConfigError, match=required):
            kind.from_dict({})


def test_values_of_a_dict_are_checked_too():
    with pytest.raises(ConfigError, match="`vocab_size` is 0"):
        NetworkSettings.from_dict({"vocab_size": 0})


def test_settings_from_before_there_was_a_precision_mean_float32():
    values = TrainingSettings(steps=10).to_dict()
    del values["precision"]
    assert TrainingSettings.from_dict(values).precision == "float32"


def test_settings_from_before_there_was_a_choice_of_optimizers_mean_adam_and_a_cosine():
    old = ("steps", "batch_size", "seq_len", "lr", "lr_floor", "warmup_steps", "clip", "beta1", "beta2", "epsilon")
    values = TrainingSettings(steps=10, lr=0.02).to_dict()
    config = TrainingSettings.from_dict({name: values[name] for name in (*old, "val_split", "seed")})
    assert (config.optimizer, config.schedule, config.batching, config.lr) == ("adam", "cosine", "streams", 0.02)
    assert config.slots == ("m", "v")


def test_momentum_without_any_is_an_error():
    with pytest.raises(ConfigError, match="`momentum` is 0"):
        TrainingSettings(steps=1, optimizer="momentum")


def test_the_defaults_of_adam_are_those_of_the_settings():
    assert TrainingSettings(steps=1) == TrainingSettings(steps=1, **OPTIMIZERS["adam"])


def test_bf16_needs_float32_parameters():
    check_precision("bf16", "float32")
    check_precision("float32", "float64")
    with pytest.raises(ConfigError, match="`dtype` is 'float64'; expected float32 for precision bf16"):
        check_precision("bf16", "float64")


def test_layers_become_a_tuple_and_configs_are_frozen():
    config = NetworkSettings(5, [3, 4])
    assert config.layers == (3, 4)
    assert hash(config) == hash(NetworkSettings(5, (3, 4)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.vocab_size = 6


@pytest.mark.parametrize("sizes", [{}, {"embedding": 64}, {"embedding": 128, "projection": 64}])
def test_tied_weights_need_an_embedding_of_the_output_s_size(sizes):
    with pytest.raises(ConfigError, match=r"`embedding` is .*tie_weights"):
        NetworkSettings(65, (64, 128), tie_weights=True, **sizes)
