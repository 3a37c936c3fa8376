"""The settings of training that the weights depend on: steps, optimizer, learning rate, dropout."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import ConfigError
from .declaration import NETWORK, OPTIMIZER, RUN, STEPS, TEXT, Settings, setting
from .precision import AUTO, PRECISIONS

SCHEDULES = ("constant", "cosine", "linear", "step", "plateau")
BATCHINGS = ("streams", "windows")
RESET_STATE = 0.01  # for new runs: with 0, some models write garbage after a beginning that they have never seen

# The settings that each optimizer reads, with their defaults. They are PyTorch's (for FTRL, TensorFlow's), except the
# learning rates, which suit a small LSTM, and beta2, since Adam's 0.999 is too slow here.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weight_decay": 0.0},
    "adamw": {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weight_decay": 0.01},
    "rmsprop": {"lr": 0.005, "rho": 0.99, "epsilon": 1e-8, "momentum": 0.0, "weight_decay": 0.0},
    "sgd": {"lr": 4.0, "weight_decay": 0.0},
    "momentum": {"lr": 0.5, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    "adagrad": {"lr": 0.1, "epsilon": 1e-10, "initial_accumulator": 0.0, "weight_decay": 0.0},
    "ftrl": {"lr": 1.0, "l1": 0.0, "l2": 0.0, "lr_power": -0.5, "initial_accumulator": 0.1},
}


def _readers(name: str) -> tuple[str, ...]:
    """Return the optimizers that read a setting."""
    return tuple(optimizer for optimizer, reads in OPTIMIZERS.items() if name in reads)


def _defaults(name: str) -> str:
    """Return a setting's default for each optimizer that reads it, as help shows it."""
    found: dict[object, list[str]] = {}
    for optimizer in _readers(name):
        found.setdefault(OPTIMIZERS[optimizer][name], []).append(optimizer)
    if len(found) == 1:
        return f"{next(iter(found)):g}"
    return ", ".join(f"{value:g} for {', '.join(optimizers)}" for value, optimizers in found.items())


def _of_optimizer(name: str, default: float | bool, help: str, *, named: bool = True, **more: Any) -> Any:
    """Declare a setting that only some optimizers read; `named` prefixes the help with their names."""
    readers = _readers(name)
    default_text = "" if isinstance(default, bool) else _defaults(name)
    text = f"{', '.join(readers)}: {help}" if named else help
    return setting(default, text, OPTIMIZER, default_text=default_text, only_with=("optimizer", readers), **more)


@dataclasses.dataclass(frozen=True)
class TrainingSettings(Settings):
    """How a network is trained.

    `steps` is the length of the whole run in updates, and `seed` determines everything that is random. The learning
    rate rises to `lr` over `warmup_steps` updates and then follows `schedule`. The defaults are for files that lack a
    setting; where a new run uses another value, it is set when the run is created.

    `val_split` keeps the last part of the text for validation, whatever the seed and the batching. A run ends after
    `patience` epochs without a better validation loss (0: never). With "streams", each stream's state is reset to
    zeros before a step with probability `reset_state`, so that the network learns to begin a text (Melis et al. 2018).
    """

    steps: int = setting(help="Length of the run in weight updates, instead of epochs.", group=STEPS)
    batch_size: int = setting(
        16, "Number of passages of the text read in parallel at each step.", STEPS, least=1, most=2**20, common=True
    )
    seq_len: int = setting(
        64,
        "Length of these passages in tokens. A longer one lets the model learn from text further back, and takes more "
        "memory.",
        STEPS,
        least=1,
        most=2**20,
        common=True,
    )
    batching: str = setting(
        "streams",
        f"How passages are chosen: {' or '.join(BATCHINGS)}. streams: read equal parts of the text in parallel, from "
        "beginning to end, carrying the state over from step to step. windows: read passages of seq-len tokens in a "
        "new random order each epoch, each from a zero state.",
        STEPS,
        choices=BATCHINGS,
    )
    window_step: int = setting(
        0,
        "windows: tokens from the start of one window to the start of the next.",
        STEPS,
        default_text="seq-len",
        only_with=("batching", ("windows",)),
    )
    steps_per_epoch: int = setting(
        0,
        "windows: number of updates that count as an epoch.",
        STEPS,
        default_text="enough for all windows",
        only_with=("batching", ("windows",)),
    )
    reset_state: float = setting(
        0.0,
        "streams: share of them that restart from a zero state at each step, so that the model learns to begin a text.",
        STEPS,
        least=0,
        below=1,
        default_text=f"{RESET_STATE:g}",
        only_with=("batching", ("streams",)),
    )
    patience: int = setting(
        0, "Stop early after this many epochs in a row without a lower validation loss.", STEPS, default_text="never"
    )
    val_split: float = setting(
        0.1,
        "Share of the text, at its end, that is not trained on but used to measure the validation loss.",
        TEXT,
        least=0,
        most=0.9,
        fixed=True,
    )
    dropout: float = setting(
        0.0,
        "Share of each layer's output hidden at random from the next layer, such as 0.3. Keeps a large network from "
        "memorising a short text.",
        NETWORK,
        least=0,
        below=1,
        common=True,
    )
    recurrent_dropout: float = setting(
        0.0, "Share of each layer's output hidden from the layer itself at the next token.", NETWORK, least=0, below=1
    )
    optimizer: str = setting(
        "adam",
        f"Algorithm that updates the weights: {', '.join(OPTIMIZERS)}. All work as in PyTorch except ftrl, which works "
        "as in TensorFlow and discards the initial weights.",
        OPTIMIZER,
        choices=tuple(OPTIMIZERS),
    )
    lr: float = _of_optimizer(
        "lr",
        0.01,
        "Highest learning rate: how far each update moves the weights. Lower it if the loss jumps about.",
        named=False,
        above=0,
        common=True,
    )
    schedule: str = setting(
        "cosine",
        f"How the learning rate changes after the warm-up: {', '.join(SCHEDULES)}.",
        OPTIMIZER,
        choices=SCHEDULES,
    )
    warmup_steps: int = setting(
        100,
        "Number of updates over which the learning rate rises to its highest value.",
        OPTIMIZER,
        default_text="100, but at most 5 % of all updates",
    )
    lr_floor: float = setting(
        0.05,
        "cosine, linear, plateau: lowest learning rate, as a share of the highest.",
        OPTIMIZER,
        least=0,
        most=1,
        only_with=("schedule", ("cosine", "linear", "plateau")),
    )
    decay_steps: int = setting(
        1000,
        "step: number of updates between drops of the learning rate.",
        OPTIMIZER,
        least=1,
        only_with=("schedule", ("step",)),
    )
    decay_rate: float = setting(
        0.5,
        "step: factor by which the learning rate drops.",
        OPTIMIZER,
        above=0,
        most=1,
        only_with=("schedule", ("step",)),
    )
    plateau_factor: float = setting(
        0.5,
        "plateau: factor by which the learning rate drops when the validation loss stops falling.",
        OPTIMIZER,
        above=0,
        most=1,
        only_with=("schedule", ("plateau",)),
    )
    plateau_patience: int = setting(
        2,
        "plateau: epochs without a lower validation loss to wait before each drop.",
        OPTIMIZER,
        least=1,
        only_with=("schedule", ("plateau",)),
    )
    clip: float = setting(
        1.0,
        "Gradient clipping: scale a gradient with a larger norm down to this, against sudden jumps; 0: no limit.",
        OPTIMIZER,
        least=0,
    )
    clip_value: float = setting(
        0.0, "Limit for each entry of the gradient, applied before clip; 0: no limit.", OPTIMIZER, least=0
    )
    weight_decay: float = _of_optimizer(
        "weight_decay",
        0.0,
        "Pulls the weights towards zero: this times the weights is added to the gradient; adamw shrinks the weights "
        "directly.",
        named=False,
        least=0,
    )
    average: float = setting(
        0.0,
        "Validate and save a running average of the weights instead of the latest ones; it decays by this factor per "
        "step, such as 0.999. The average is better than the latest weights until the learning rate is low.",
        OPTIMIZER,
        least=0,
        below=1,
        default_text="none",
    )
    beta1: float = _of_optimizer("beta1", 0.9, "decay factor of the running mean of the gradient.", least=0, below=1)
    beta2: float = _of_optimizer(
        "beta2", 0.99, "decay factor of the running mean of the squared gradient.", least=0, below=1
    )
    epsilon: float = _of_optimizer("epsilon", 1e-8, "small number added to the root that divides the update.", above=0)
    momentum: float = _of_optimizer(
        "momentum", 0.0, "share of the previous update that is carried into the next.", least=0, below=1
    )
    nesterov: bool = _of_optimizer("nesterov", False, "look ahead along the previous update.")
    rho: float = _of_optimizer(
        "rho", 0.99, "decay factor of the running mean of the squared gradient.", least=0, below=1
    )
    initial_accumulator: float = _of_optimizer(
        "initial_accumulator", 0.0, "Initial value of the sum of squared gradients.", named=False, least=0
    )
    l1: float = _of_optimizer("l1", 0.0, "L1 regularisation, which pulls weights to exactly zero.", least=0)
    l2: float = _of_optimizer("l2", 0.0, "L2 regularisation, which keeps weights small.", least=0)
    lr_power: float = _of_optimizer(
        "lr_power", -0.5, "exponent of the sum of squared gradients in the learning rate.", least=-8, most=0
    )
    seed: int = setting(
        0,
        "Number that fixes everything random: the same seed and text give the same weights.",
        RUN,
        most=2**63 - 1,
        fixed=True,
        common=True,
    )
    precision: str = setting(
        "float32",
        "Number format of matrix products: float32, or for speed bf16 (16 bits; processors and GPUs that support it), "
        "tf32 (19 bits; GPU) or fp16 (16 bits; GPU); auto tries a few steps of each and takes the fastest that agrees "
        "with float32. Sums and weights stay float32.",
        RUN,
        choices=(*PRECISIONS, AUTO),
        default_text="float32, or the resumed run's",
    )

    def _check_together(self) -> None:
        if self.optimizer == "momentum" and not self.momentum:
            raise ConfigError("`momentum` is 0.0; expected a number above 0 for `optimizer` momentum")

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays that the optimizer keeps, each with an entry per parameter."""
        if self.optimizer == "rmsprop":
            return ("square", "velocity") if self.momentum else ("square",)
        by_name = {"momentum": ("velocity",), "sgd": (), "adagrad": ("sum",), "ftrl": ("accumulator", "linear")}
        return by_name.get(self.optimizer, ("m", "v"))

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of all such arrays of a run: the slots and, if `average` is on, the weight average."""
        return (*self.slots, "average") if self.average else self.slots
