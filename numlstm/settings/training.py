"""The settings of a training run that its weights depend on: steps, optimizer, learning rate, dropout."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import ConfigError
from .declaration import NETWORK, OPTIMIZER, RUN, STEPS, TEXT, Settings, setting
from .precision import PRECISIONS

SCHEDULES = ("constant", "cosine", "linear", "step", "plateau")
BATCHINGS = ("streams", "windows")
RESET_STATE = 0.01  # of a new run: with 0 some models write garbage after a beginning that they have never seen

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


def _readers(name: str) -> tuple[str, ...]:
    """Return which optimizers read a setting."""
    return tuple(optimizer for optimizer, reads in OPTIMIZERS.items() if name in reads)


def _defaults(name: str) -> str:
    """Return the default of a setting for each optimizer that reads it, in words."""
    found: dict[object, list[str]] = {}
    for optimizer in _readers(name):
        found.setdefault(OPTIMIZERS[optimizer][name], []).append(optimizer)
    if len(found) == 1:
        return f"{next(iter(found)):g}"
    return ", ".join(f"{value:g} for {', '.join(optimizers)}" for value, optimizers in found.items())


def _of_optimizer(name: str, default: float | bool, help: str, *, named: bool = True, **more: Any) -> Any:
    """Declare a setting that some optimizers read; `named` puts their names before its help."""
    readers = _readers(name)
    says = "" if isinstance(default, bool) else _defaults(name)
    text = f"{', '.join(readers)}: {help}" if named else help
    return setting(default, text, OPTIMIZER, says=says, only_with=("optimizer", readers), **more)


@dataclasses.dataclass(frozen=True)
class TrainingSettings(Settings):
    """How a network is trained.

    `steps` is the length of the whole run in updates, and `seed` fixes everything that is random. The learning rate
    rises to `lr` over `warmup_steps` updates and then follows `schedule`. Defaults are those of files that do not name
    a setting; where a new run begins with another value, that is set when the run is made.

    Of the seed, batching and text together `val_split` keeps back the last part to validate on; a run ends after
    `patience` epochs without a better validation loss (0: it does not). In streams the share `reset_state` of them
    begins each step from a state of zeros, so that a network learns to begin a text (Melis et al. 2018).
    """

    steps: int = setting(help="How many updates to make, instead of epochs.", group=STEPS)
    batch_size: int = setting(16, "Parallel streams or windows.", STEPS, least=1, most=2**20, common=True)
    seq_len: int = setting(64, "Tokens through which gradients flow back.", STEPS, least=1, most=2**20, common=True)
    batching: str = setting(
        "streams",
        f"{' or '.join(BATCHINGS)}: the text side by side as parallel streams, the state carried on, or windows of "
        "seq-len at random, in another order each epoch, each from a state of zeros.",
        STEPS,
        choices=BATCHINGS,
    )
    window_step: int = setting(
        0,
        "Tokens from one window's start to the next.",
        STEPS,
        says="seq-len",
        only_with=("batching", ("windows",)),
    )
    steps_per_epoch: int = setting(
        0, "Updates that make an epoch of windows.", STEPS, says="all windows", only_with=("batching", ("windows",))
    )
    reset_state: float = setting(
        0.0,
        "The share of streams that begins each step from a state of zeros, so that the model learns to begin a text.",
        STEPS,
        least=0,
        below=1,
        says=f"{RESET_STATE:g}",
        only_with=("batching", ("streams",)),
    )
    patience: int = setting(
        0, "Stop after so many epochs in a row without a better validation loss.", STEPS, says="never"
    )
    val_split: float = setting(
        0.1, "The last part of the text, kept to validate on.", TEXT, least=0, most=0.9, fixed=True
    )
    dropout: float = setting(
        0.0,
        "The share of the embedding and of each h that the layer above does not see, such as 0.3.",
        NETWORK,
        least=0,
        below=1,
        common=True,
    )
    recurrent_dropout: float = setting(
        0.0, "The share of h that a layer itself does not see at the next step.", NETWORK, least=0, below=1
    )
    optimizer: str = setting(
        "adam",
        f"{', '.join(OPTIMIZERS)}. All are PyTorch's, but ftrl, which is TensorFlow's and forgets the weights that it "
        "starts from.",
        OPTIMIZER,
        choices=tuple(OPTIMIZERS),
    )
    lr: float = _of_optimizer("lr", 0.01, "The highest learning rate.", named=False, above=0, common=True)
    schedule: str = setting(
        "cosine",
        f"How the rate goes on after the warm-up: {', '.join(SCHEDULES)}.",
        OPTIMIZER,
        choices=SCHEDULES,
    )
    warmup_steps: int = setting(100, "Updates in which the rate rises.", OPTIMIZER, says="100, at most a 20th of all")
    lr_floor: float = setting(
        0.05,
        "cosine, linear, plateau: the lowest rate, as a share of the highest.",
        OPTIMIZER,
        least=0,
        most=1,
        only_with=("schedule", ("cosine", "linear", "plateau")),
    )
    decay_steps: int = setting(
        1000, "step: updates from one stair to the next.", OPTIMIZER, least=1, only_with=("schedule", ("step",))
    )
    decay_rate: float = setting(
        0.5,
        "step: what each stair multiplies the rate by.",
        OPTIMIZER,
        above=0,
        most=1,
        only_with=("schedule", ("step",)),
    )
    plateau_factor: float = setting(
        0.5, "plateau: what to multiply the rate by.", OPTIMIZER, above=0, most=1, only_with=("schedule", ("plateau",))
    )
    plateau_patience: int = setting(
        2,
        "plateau: epochs without a better validation loss to bear first.",
        OPTIMIZER,
        least=1,
        only_with=("schedule", ("plateau",)),
    )
    clip: float = setting(1.0, "The largest norm of a gradient; 0: any.", OPTIMIZER, least=0)
    clip_value: float = setting(0.0, "The largest entry of a gradient, clipped first; 0: any.", OPTIMIZER, least=0)
    weight_decay: float = _of_optimizer(
        "weight_decay",
        0.0,
        "Added to the gradient, times the weights; adamw shrinks the weights instead.",
        named=False,
        least=0,
    )
    average: float = setting(
        0.0,
        "Validate and keep a running average of the weights, which fades by this factor a step, such as 0.999: it is "
        "ahead of the weights themselves until the rate is low.",
        OPTIMIZER,
        least=0,
        below=1,
        says="none",
    )
    beta1: float = _of_optimizer("beta1", 0.9, "how the mean gradient fades.", least=0, below=1)
    beta2: float = _of_optimizer("beta2", 0.99, "how the mean square fades.", least=0, below=1)
    epsilon: float = _of_optimizer("epsilon", 1e-8, "added to the root.", above=0)
    momentum: float = _of_optimizer("momentum", 0.0, "how much of the last change goes on.", least=0, below=1)
    nesterov: bool = _of_optimizer("nesterov", False, "look ahead along the last change.")
    rho: float = _of_optimizer("rho", 0.99, "how the mean square fades.", least=0, below=1)
    initial_accumulator: float = _of_optimizer(
        "initial_accumulator", 0.0, "What the sums of squares start from.", named=False, least=0
    )
    l1: float = _of_optimizer("l1", 0.0, "pulls weights to exactly zero.", least=0)
    l2: float = _of_optimizer("l2", 0.0, "keeps weights small.", least=0)
    lr_power: float = _of_optimizer("lr_power", -0.5, "how the rate falls with the squares.", least=-8, most=0)
    seed: int = setting(0, "The same seed gives the same weights.", RUN, most=2**63 - 1, fixed=True, common=True)
    precision: str = setting(
        "float32",
        "bf16 multiplies numbers of 16 bits and adds up in float32, where the processor or GPU can, and so do tf32 (of "
        "19 bits) and fp16 on a GPU; weights stay float32, and texts are written and measured in float32 alone.",
        RUN,
        choices=PRECISIONS,
        says="float32, or the resumed run's",
    )

    def _check_together(self) -> None:
        if self.optimizer == "momentum" and not self.momentum:
            raise ConfigError("`momentum` is 0.0; expected a number above 0 for the optimizer of that name")

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
