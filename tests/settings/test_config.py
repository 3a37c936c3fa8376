"""Settings: what is in range is taken, what is not is named, and JSON brings the same settings back."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from numlstm.errors import ConfigError
from numlstm.settings.config import OPTIMIZERS, SCHEDULES, ModelConfig, SampleConfig, TrainConfig, check_precision

GOOD = {ModelConfig: {"vocab_size": 65}, TrainConfig: {"steps": 10}, SampleConfig: {}}

IN_RANGE = [
    (ModelConfig, {"vocab_size": 1, "layers": (1,)}),
    (ModelConfig, {"vocab_size": 2**24, "layers": (2**16,) * 64, "dtype": "float64"}),
    (ModelConfig, {"vocab_size": 2, "layers": (3, 3), "embedding": 5, "projection": 5, "tie_weights": True}),
    (ModelConfig, {"vocab_size": 2, "layer_norm": True, "gate_activation": "hard-sigmoid"}),
    (TrainConfig, {"steps": 0, "batch_size": 1, "seq_len": 1, "lr": 1e-300, "warmup_steps": 0, "clip": 0}),
    (TrainConfig, {"steps": 1, "lr_floor": 1, "beta1": 0, "beta2": 0.0, "val_split": 0.9, "seed": 2**63 - 1}),
    (TrainConfig, {"steps": 1, "lr_floor": 0.0, "val_split": 0, "lr": 1, "precision": "bf16"}),
    *((TrainConfig, {"steps": 1, "optimizer": name, **settings}) for name, settings in OPTIMIZERS.items()),
    *((TrainConfig, {"steps": 1, "schedule": name}) for name in SCHEDULES),
    (TrainConfig, {"steps": 1, "batching": "windows", "window_step": 3, "steps_per_epoch": 7, "patience": 2}),
    (TrainConfig, {"steps": 1, "decay_rate": 1, "plateau_factor": 1e-9, "lr_power": 0, "momentum": 0, "rho": 0}),
    (SampleConfig, {"length": 0, "temperature": 0, "seed": 0}),
    (SampleConfig, {"temperature": 1e300}),
    (SampleConfig, {"top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1e-9, "penalty_window": 1}),
    (SampleConfig, {"top_k": 1, "top_p": 1e-9, "min_p": 1.0, "repetition_penalty": 100, "penalty_window": 2**20}),
    (SampleConfig, {"stop": ("a", "b\n"), "ban": (" ",), "initials": "AB", "initials_of": "word"}),
]

OUT_OF_RANGE = [
    (ModelConfig, "vocab_size", [0, -1, 2**24 + 1, 1.5, True, "65", None]),
    (ModelConfig, "layers", [(), 128, "128", (0,), (1.0,), (True,), (128, -1), (2**16 + 1,), (1,) * 65, None]),
    (ModelConfig, "dtype", ["float16", "f4", float, None]),
    (ModelConfig, "embedding", [-1, 1.0, True, None, 2**16 + 1]),
    (ModelConfig, "projection", [-1, 1.0, True, None, 2**16 + 1]),
    (ModelConfig, "layer_norm", [0, 1, "yes", None]),
    (ModelConfig, "tie_weights", [0, 1, "yes", None]),
    (ModelConfig, "gate_activation", ["", "hard_sigmoid", "tanh", None]),
    (TrainConfig, "steps", [-1, 1.0, False, None]),
    (TrainConfig, "batch_size", [0, 2**20 + 1, 2.0]),
    (TrainConfig, "seq_len", [0, 2**20 + 1, "64"]),
    (TrainConfig, "lr", [0, 0.0, -1e-3, math.nan, math.inf, "1", True, None]),
    (TrainConfig, "lr_floor", [-0.1, 1.1, math.nan]),
    (TrainConfig, "warmup_steps", [-1, 0.5]),
    (TrainConfig, "clip", [-1.0, math.nan, math.inf, None]),
    (TrainConfig, "beta1", [-0.1, 1.0, 1.5, math.nan]),
    (TrainConfig, "beta2", [-0.1, 1, math.inf]),
    (TrainConfig, "epsilon", [0, -1e-8, math.nan]),
    (TrainConfig, "val_split", [-0.1, 0.91, 1.0, math.nan]),
    (TrainConfig, "seed", [-1, 2**63, 0.0]),
    (TrainConfig, "precision", ["", "float64", "BF16", "float16", None, 16, True]),
    (TrainConfig, "dropout", [-0.1, 1, 1.0, math.nan, None, True]),
    (TrainConfig, "recurrent_dropout", [-0.1, 1, 1.0, math.nan, None, True]),
    (TrainConfig, "optimizer", ["", "Adam", "lbfgs", None]),
    (TrainConfig, "schedule", ["", "exponential", None]),
    (TrainConfig, "batching", ["", "window", None]),
    *((TrainConfig, name, [-1, 1.5, True, None]) for name in ("window_step", "steps_per_epoch", "patience")),
    (TrainConfig, "reset_state", [-0.1, 1.0, None]),
    (TrainConfig, "average", [-0.1, 1.0, "a", float("nan")]),
    *((TrainConfig, name, [0, -1, 1.5, None]) for name in ("decay_steps", "plateau_patience")),
    *((TrainConfig, name, [-0.1, math.nan, math.inf, None]) for name in ("clip_value", "weight_decay", "l1", "l2")),
    (TrainConfig, "initial_accumulator", [-0.1, math.nan, None]),
    *((TrainConfig, name, [-0.1, 1, math.nan, None]) for name in ("momentum", "rho")),
    *((TrainConfig, name, [0, 1.1, -0.5, math.nan, None]) for name in ("decay_rate", "plateau_factor")),
    (TrainConfig, "lr_power", [0.1, -9, math.nan, None]),
    (TrainConfig, "nesterov", [0, 1, "no", None]),
    (SampleConfig, "length", [-1, 2.5, None]),
    (SampleConfig, "temperature", [-0.1, math.nan, math.inf, "0.6", True]),
    (SampleConfig, "seed", [-1, 2**63, "0"]),
    (SampleConfig, "top_k", [-1, 1.5, None, True]),
    (SampleConfig, "top_p", [0, 0.0, -0.1, 1.1, math.nan, None]),
    (SampleConfig, "min_p", [-0.1, 1.1, math.nan, "0", None]),
    (SampleConfig, "repetition_penalty", [0, -1, 101, math.inf, math.nan, None]),
    (SampleConfig, "penalty_window", [0, -1, 2**20 + 1, 1.5]),
    (SampleConfig, "stop", ["", [""], 3, None, ["a", 3]]),
    (SampleConfig, "ban", ["", [""], 3, None, ["a", b"b"]]),
    (SampleConfig, "initials", [None, 3, ["a"]]),
    (SampleConfig, "initials_of", ["", "letter", None]),
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
    assert SampleConfig(stop="ab", ban=["c", "d"]) == SampleConfig(stop=("ab",), ban=("c", "d"))


@pytest.mark.parametrize("kind", GOOD)
def test_unknown_and_missing_settings(kind):
    with pytest.raises(ConfigError, match="'colour'"):
        kind.from_dict({**GOOD[kind], "colour": 1})
    for required in GOOD[kind]:
        with pytest.raises(ConfigError, match=required):
            kind.from_dict({})


def test_values_of_a_dict_are_checked_too():
    with pytest.raises(ConfigError, match="vocab_size is 0"):
        ModelConfig.from_dict({"vocab_size": 0})


def test_settings_from_before_there_was_a_precision_mean_float32():
    values = TrainConfig(steps=10).to_dict()
    del values["precision"]
    assert TrainConfig.from_dict(values).precision == "float32"


def test_settings_from_before_there_was_a_choice_of_optimizers_mean_adam_and_a_cosine():
    old = ("steps", "batch_size", "seq_len", "lr", "lr_floor", "warmup_steps", "clip", "beta1", "beta2", "epsilon")
    values = TrainConfig(steps=10, lr=0.02).to_dict()
    config = TrainConfig.from_dict({name: values[name] for name in (*old, "val_split", "seed")})
    assert (config.optimizer, config.schedule, config.batching, config.lr) == ("adam", "cosine", "streams", 0.02)
    assert config.slots == ("m", "v")


def test_momentum_without_any_is_an_error():
    with pytest.raises(ConfigError, match="momentum is 0"):
        TrainConfig(steps=1, optimizer="momentum")


def test_the_defaults_of_adam_are_those_of_the_settings():
    assert TrainConfig(steps=1) == TrainConfig(steps=1, **OPTIMIZERS["adam"])


def test_bf16_needs_float32_parameters():
    check_precision("bf16", "float32")
    check_precision("float32", "float64")
    with pytest.raises(ConfigError, match="dtype is 'float64'; expected float32 where the precision is bf16"):
        check_precision("bf16", "float64")


def test_layers_become_a_tuple_and_configs_are_frozen():
    config = ModelConfig(5, [3, 4])
    assert config.layers == (3, 4)
    assert hash(config) == hash(ModelConfig(5, (3, 4)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.vocab_size = 6


@pytest.mark.parametrize("sizes", [{}, {"embedding": 64}, {"embedding": 128, "projection": 64}])
def test_tied_weights_need_an_embedding_of_the_output_s_size(sizes):
    with pytest.raises(ConfigError, match=r"embedding is .*tied"):
        ModelConfig(65, (64, 128), tie_weights=True, **sizes)
