"""Every setting of a model, a training run and a sample, and the range of each.

The dataclasses are frozen; a value out of range raises `ConfigError` as the object is made, so whoever
holds one need not check again. Knows nothing about texts, files, devices or arrays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import ConfigError

DTYPES = ("float32", "float64")
PRECISIONS = ("float32", "bf16", "tf32", "fp16")
GATE_ACTIVATIONS = ("sigmoid", "hard-sigmoid")
SCHEDULES = ("constant", "cosine", "linear", "step", "plateau")
BATCHINGS = ("streams", "windows")
INITIALS_OF = ("line", "word")

# What each optimizer reads, and where it starts from if nobody says otherwise: PyTorch's or, for FTRL, TensorFlow's
# own defaults, but for rates, which are those that suit a small LSTM, and beta2, for which Adam's 0.999 is too slow
# here.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weight_decay": 0.0},
    "adamw": {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weight_decay": 0.01},
    "rmsprop": {"lr": 0.005, "rho": 0.99, "epsilon": 1e-8, "momentum": 0.0, "weight_decay": 0.0},
    "sgd": {"lr": 4.0, "weight_decay": 0.0},
    "momentum": {"lr": 0.5, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    "adagrad": {"lr": 0.1, "epsilon": 1e-10, "initial_accumulator": 0.0, "weight_decay": 0.0},
    "ftrl": {"lr": 1.0, "l1": 0.0, "l2": 0.0, "lr_power": -0.5, "initial_accumulator": 0.1},
}

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

    "float32" means in the parameters' own dtype. The others sum in float32 what they multiply from rounded factors: of
    8 significant bits in "bf16", of 11 in "tf32" and "fp16", which holds nothing above 65504. Raises `ConfigError` for
    anything else, and for one of these where the parameters are not float32.
    """
    _require(precision in PRECISIONS, "precision", precision, " or ".join(PRECISIONS))
    fits = precision == "float32" or dtype == "float32"
    _require(fits, "dtype", dtype, f"float32 where the precision is {precision}")


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

    `steps` is the length of the whole run in updates, `seed` fixes everything that is random, and `precision` is that
    of products: see `check_precision`. `dropout` is the share of
    the embedding and of each layer's h that the next layer, or the output, does not see, and `recurrent_dropout` that
    which the layer itself does not see at the next step, the same for a whole window.

    The learning rate rises to `lr` over `warmup_steps` updates and then follows `schedule`: see `optim.learning_rate`.
    `optimizer` reads the settings that `OPTIMIZERS` lists for it, as PyTorch or TensorFlow does: see `optim`.
    `clip_value` bounds each entry of the gradient and then `clip` its global norm (0: no bound).

    `batching` reads the text as contiguous "streams" or as random "windows" of `seq_len` tokens, one start in every
    `window_step` of them (0: seq_len), `steps_per_epoch` batches an epoch (0: as many as there are). A run ends after
    `patience` epochs without a better validation loss (0: it does not). In streams, the share `reset_state` of them
    begins each step from a state of zeros, so that a network learns to begin a text (Melis et al. 2018). With `average`
    above 0 a running average of the parameters, which fades by that factor a step, is validated and kept as the best:
    see `average`.
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
    optimizer: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    rho: float = 0.99
    initial_accumulator: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    lr_power: float = -0.5
    clip_value: float = 0.0
    schedule: str = "cosine"
    decay_steps: int = 1000
    decay_rate: float = 0.5
    plateau_factor: float = 0.5
    plateau_patience: int = 2
    batching: str = "streams"
    window_step: int = 0
    steps_per_epoch: int = 0
    patience: int = 0
    average: float = 0.0
    reset_state: float = 0.0

    def __post_init__(self) -> None:
        _whole("steps", self.steps, 0)
        _whole("batch_size", self.batch_size, 1, 2**20)
        _whole("seq_len", self.seq_len, 1, 2**20)
        _number("val_split", self.val_split, 0.0, 0.9)
        _whole("seed", self.seed, 0, 2**63 - 1)
        check_precision(self.precision)
        for name in ("dropout", "recurrent_dropout", "beta1", "beta2", "rho", "momentum", "average", "reset_state"):
            _number(name, getattr(self, name), 0.0)
            _require(getattr(self, name) < 1.0, name, getattr(self, name), "less than 1")
        for name in ("batching", "schedule", "optimizer"):
            known = {"batching": BATCHINGS, "schedule": SCHEDULES, "optimizer": tuple(OPTIMIZERS)}[name]
            _require(getattr(self, name) in known, name, getattr(self, name), " or ".join(known))
        for name in ("window_step", "steps_per_epoch", "patience", "warmup_steps"):
            _whole(name, getattr(self, name), 0)
        self._check_rates()

    def _check_rates(self) -> None:
        for name in ("lr", "epsilon"):
            _number(name, getattr(self, name), 0.0, above=True)
        _number("lr_floor", self.lr_floor, 0.0, 1.0)
        for name in ("clip", "clip_value", "weight_decay", "initial_accumulator", "l1", "l2"):
            _number(name, getattr(self, name), 0.0)
        _number("lr_power", self.lr_power, -8.0, 0.0)
        _require(isinstance(self.nesterov, bool), "nesterov", self.nesterov, "true or false")
        steady = self.optimizer == "momentum" and not self.momentum
        _require(not steady, "momentum", self.momentum, "a number above 0 for the optimizer of that name")
        for name in ("decay_steps", "plateau_patience"):
            _whole(name, getattr(self, name), 1)
        for name in ("decay_rate", "plateau_factor"):
            _number(name, getattr(self, name), 0.0, 1.0, above=True)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of what the optimizer remembers of each parameter."""
        if self.optimizer == "rmsprop":
            return ("square", "velocity") if self.momentum else ("square",)
        by_name = {"momentum": ("velocity",), "sgd": (), "adagrad": ("sum",), "ftrl": ("accumulator", "linear")}
        return by_name.get(self.optimizer, ("m", "v"))

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of all that a run remembers of each parameter: the slots and, if there is one, the average."""
        return (*self.slots, "average") if self.average else self.slots


@dataclasses.dataclass(frozen=True)
class SampleConfig(_Config):
    """How text is written: at most `length` tokens, drawn from `seed` as `numlstm/backends/spec/sampling.py` states.

    `temperature` 0 takes the likeliest token, 1 follows the model. `top_k` (0: all) and `top_p` (1: all) keep the
    likeliest tokens, `min_p` (0: all) those that are not too far behind. `repetition_penalty` (1: none) makes each of
    the last `penalty_window` tokens, read or written, less likely. A text ends before the first of the texts `stop`
    that it comes to, and none of the texts `ban` is in it, nor where it meets the prompt. With `initials` each new
    line, or word as `initials_of` says, begins with the next of these letters, large or small, and the text ends with
    the line or word of the last.
    """

    length: int = 250
    temperature: float = 0.6
    seed: int = 0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    penalty_window: int = 64
    stop: tuple[str, ...] = ()
    ban: tuple[str, ...] = ()
    initials: str = ""
    initials_of: str = "line"

    def __post_init__(self) -> None:
        _whole("length", self.length, 0)
        _number("temperature", self.temperature, 0.0)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("top_k", self.top_k, 0)
        _number("top_p", self.top_p, 0.0, 1.0, above=True)
        _number("min_p", self.min_p, 0.0, 1.0)
        _number("repetition_penalty", self.repetition_penalty, 0.0, 100.0, above=True)
        _whole("penalty_window", self.penalty_window, 1, 2**20)
        for name in ("stop", "ban"):
            texts = getattr(self, name)
            texts = (texts,) if isinstance(texts, str) else texts
            ok = isinstance(texts, (tuple, list)) and all(isinstance(text, str) and text for text in texts)
            _require(ok, name, texts, "texts of at least one character")
            object.__setattr__(self, name, tuple(texts))
        _require(isinstance(self.initials, str), "initials", self.initials, "letters")
        _require(self.initials_of in INITIALS_OF, "initials_of", self.initials_of, " or ".join(INITIALS_OF))
