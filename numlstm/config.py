"""Every setting of a model, a training run and a sample, and the range of each.

The dataclasses are frozen; a value out of range raises `ConfigError` as the object is made, so whoever
holds one need not check again. Knows nothing about texts, files, devices or arrays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from .errors import ConfigError

DTYPES = ("float32", "float64")
PRECISIONS = ("float32", "bf16")
GATE_ACTIVATIONS = ("sigmoid", "hard-sigmoid")

_C = TypeVar("_C", bound="_Config")


def _require(ok: bool, name: str, value: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"{name} is {value!r}; expected {expected}")


def _whole(name: str, value: object, low: int, high: int = 2**31 - 1) -> None:
    ok = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    _require(ok, name, value, f"a whole number from {low} to {high}")


def _number(name: str, value: object, low: float, high: float = math.inf, *, above: bool = False) -> None:
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    ok = ok and (low < float(value) if above else low <= float(value)) and float(value) <= high  # type: ignore[arg-type]
    span = f"above {low:g}" if above else f"at least {low:g}"
    _require(ok, name, value, f"a number {span}" + ("" if high == math.inf else f" and at most {high:g}"))


def check_precision(precision: object, dtype: str = "float32") -> None:
    """Check how the products of a network with parameters of `dtype` are to be computed.

    "float32" means in the parameters' own dtype, and "bf16" from factors rounded to 8 significant bits, summed in
    float32. Raises `ConfigError` for anything else, and for bf16 where the parameters are not float32.
    """
    _require(precision in PRECISIONS, "precision", precision, " or ".join(PRECISIONS))
    _require(precision != "bf16" or dtype == "float32", "dtype", dtype, "float32 where the precision is bf16")


@dataclasses.dataclass(frozen=True)
class _Config:
    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls: type[_C], values: Mapping[str, Any]) -> _C:
        """Make the object from what `to_dict` gave, read back from JSON.

        Raises `ConfigError` if a name is unknown or missing, or a value out of range.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        _require(not unknown, cls.__name__, unknown, "no setting of an unknown name")
        required = {f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}
        missing = sorted(required - set(values))
        _require(not missing, cls.__name__, values, f"also the settings {missing}")
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class ModelConfig(_Config):
    """The shape of a network: `vocab_size` tokens in and out, one LSTM layer of H units per entry of `layers`.

    `embedding` is the size of the vectors that tokens are turned into before the first layer (0: none, each token picks
    a row of that layer's weights), and `projection` that of each layer's h, projected from its H units (0: none, h has
    H entries). `layer_norm` normalises the gates' inputs and the cell before its tanh. `tie_weights` makes the output's
    weights those of the embedding, transposed. `gate_activation` is that of the gates i, f and o: "hard-sigmoid" is
    clip(0.2 z + 0.5, 0, 1), as in TensorFlow.js.
    """

    vocab_size: int
    layers: tuple[int, ...] = (128, 128)
    dtype: str = "float32"
    embedding: int = 0
    projection: int = 0
    layer_norm: bool = False
    tie_weights: bool = False
    gate_activation: str = "sigmoid"

    def __post_init__(self) -> None:
        _whole("vocab_size", self.vocab_size, 1, 2**24)
        _require(isinstance(self.layers, (tuple, list)), "layers", self.layers, "one size per layer")
        object.__setattr__(self, "layers", tuple(self.layers))
        _require(1 <= len(self.layers) <= 64, "layers", self.layers, "1 to 64 layers")
        for size in self.layers:
            _whole("layer size", size, 1, 2**16)
        _require(self.dtype in DTYPES, "dtype", self.dtype, " or ".join(DTYPES))
        _whole("embedding", self.embedding, 0, 2**16)
        _whole("projection", self.projection, 0, 2**16)
        for name in ("layer_norm", "tie_weights"):
            _require(isinstance(getattr(self, name), bool), name, getattr(self, name), "true or false")
        activation = self.gate_activation
        _require(activation in GATE_ACTIVATIONS, "gate_activation", activation, " or ".join(GATE_ACTIVATIONS))
        if self.tie_weights:
            size = self.state_sizes[-1]
            expected = f"{size}, the size of the last layer's h, where weights are tied"
            _require(self.embedding == size, "embedding", self.embedding, expected)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The size of each layer's h."""
        return tuple(self.projection or H for H in self.layers)

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "layers": list(self.layers)}


@dataclasses.dataclass(frozen=True)
class TrainConfig(_Config):
    """How a network is trained.

    `steps` is the length of the whole run in updates and `warmup_steps` how many of them the learning
    rate takes to rise to `lr`; from there it follows a cosine down to `lr_floor * lr`. `clip` bounds the
    global norm of the gradient (0: no bound). `seed` fixes everything that is random. `precision` is that of
    products: see `check_precision`. `dropout` is the share of each layer's h that the next layer, or the output, does
    not see, and `recurrent_dropout` that which the layer itself does not see at the next step, the same for a whole
    window.
    """

    steps: int
    batch_size: int = 16
    seq_len: int = 64
    lr: float = 0.01
    lr_floor: float = 0.05
    warmup_steps: int = 100
    clip: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    val_split: float = 0.1
    seed: int = 0
    precision: str = "float32"
    dropout: float = 0.0
    recurrent_dropout: float = 0.0

    def __post_init__(self) -> None:
        _whole("steps", self.steps, 0)
        _whole("batch_size", self.batch_size, 1, 2**20)
        _whole("seq_len", self.seq_len, 1, 2**20)
        _number("lr", self.lr, 0.0, above=True)
        _number("lr_floor", self.lr_floor, 0.0, 1.0)
        _whole("warmup_steps", self.warmup_steps, 0)
        _number("clip", self.clip, 0.0)
        for name in ("beta1", "beta2"):
            _number(name, getattr(self, name), 0.0)
            _require(getattr(self, name) < 1.0, name, getattr(self, name), "less than 1")
        _number("epsilon", self.epsilon, 0.0, above=True)
        _number("val_split", self.val_split, 0.0, 0.9)
        _whole("seed", self.seed, 0, 2**63 - 1)
        check_precision(self.precision)
        for name in ("dropout", "recurrent_dropout"):
            _number(name, getattr(self, name), 0.0)
            _require(getattr(self, name) < 1.0, name, getattr(self, name), "less than 1")


@dataclasses.dataclass(frozen=True)
class SampleConfig(_Config):
    """How text is drawn: `length` tokens at `temperature` (0 takes the likeliest), from `seed`."""

    length: int = 250
    temperature: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        _whole("length", self.length, 0)
        _number("temperature", self.temperature, 0.0)
        _whole("seed", self.seed, 0, 2**63 - 1)
