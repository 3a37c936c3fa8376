"""The learning rate of each step, clipping, and the update.

Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), RMSprop (Tieleman & Hinton 2012), SGD, momentum (Polyak
1964; with Nesterov's look ahead, Sutskever et al. 2013) and Adagrad (Duchi et al. 2011) are PyTorch's to the letter:
their `weight_decay` is added to the gradient, but AdamW's, which shrinks the parameters themselves. FTRL-Proximal
(McMahan et al. 2013) is TensorFlow's: it forgets the parameters that it starts from, which few networks like.
Clipping by the global norm as Pascanu et al. (2013). Knows nothing about texts, layers or files: parameters are one
flat array.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from ..backends.protocol import Array, Backend, Number, Packed
from ..backends.spec.gradients import clipping
from ..settings.training import OPTIMIZERS, TrainingSettings

_THRESHOLD = 1e-4  # by what share the loss must fall to end a plateau: PyTorch's

FUSED = ("adam", "adamw")  # made by `Backend.adam_`, which packs the weights in the same pass


def learning_rate(config: TrainingSettings, step: int, reductions: int = 0) -> float:
    """Return the learning rate of the update after `step` updates.

    It rises on a line over `warmup_steps` updates to `lr`. From there "constant" keeps it; "cosine" and "linear"
    lower it, by half a cosine or a line, to `lr_floor * lr` at the last update; "step" is TensorFlow's staircase, lr
    * decay_rate^(step // decay_steps); "plateau" multiplies it by `plateau_factor` for each of the `reductions` that
    a `Plateau` has asked for, but not below `lr_floor * lr`.
    """
    rise = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "step":
        return config.lr * rise * config.decay_rate ** (step // config.decay_steps)
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "plateau":
        return config.lr * max(config.lr_floor, config.plateau_factor**reductions)
    done = min(1.0, (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps))
    left = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.lr * (config.lr_floor + (1 - config.lr_floor) * left)


class Plateau(NamedTuple):
    """How long a validation loss has not fallen, as PyTorch's ReduceLROnPlateau counts it.

    `best` is the lowest loss so far, `bad` the epochs since without one lower by a ten-thousandth, and `reductions` how
    often that has been too many.
    """

    best: float | None = None
    bad: int = 0
    reductions: int = 0

    def after(self, loss: float, patience: int) -> Plateau:
        """Return the state after another epoch: more than `patience` bad ones ask for a reduction."""
        if self.best is None or loss < self.best * (1 - _THRESHOLD):
            return Plateau(loss, 0, self.reductions)
        if self.bad + 1 > patience:
            return Plateau(self.best, 0, self.reductions + 1)
        return Plateau(self.best, self.bad + 1, self.reductions)


class Norms(NamedTuple):
    """The global norm of a gradient as it came, and after `clip_value`; the device may yet have to make them."""

    before: Number
    bounded: Number

    def read(self, clip: float) -> tuple[float, float]:
        """Return the norm before and after clipping, by value and then by norm; waits for the device."""
        before, bounded = float(self.before), float(self.bounded)
        return before, bounded * clipping(bounded, clip) if math.isfinite(before) else before


@dataclasses.dataclass
class Optimizer:
    """What an optimizer remembers of each parameter: flat device arrays (P,) by the names of `TrainingSettings.slots`.

    `began` is the number of updates after which its slots were fresh.
    """

    slots: dict[str, Array]
    began: int = 0

    @classmethod
    def start(cls, config: TrainingSettings, backend: Backend, size: int, dtype: str, *, step: int = 0) -> Optimizer:
        """Return the optimizer of `config` with fresh slots for `size` parameters, after `step` updates."""
        slots = {name: backend.zeros(size, dtype) for name in config.slots}
        for name in {"sum", "accumulator"} & set(slots):
            slots[name][...] = config.initial_accumulator
        return cls(slots, step)

    def update_(
        self,
        backend: Backend,
        flat: Array,
        grads: Array,
        config: TrainingSettings,
        step: int,
        packed: Sequence[Packed] = (),
        *,
        reductions: int = 0,
        loss_scale: Array = None,
    ) -> Norms:
        """Make the update after `step` updates in `flat`, by Adam in the packed weights too; return the norms.

        The gradients are divided by the `loss_scale`, if one is given, which follows them (`Backend.unscale_`). Entries
        beyond `config.clip_value` are brought back to it, in `grads`, as PyTorch's `clip_grad_value_` does. A gradient
        of a norm above `config.clip` is scaled down to it, as its `clip_grad_norm_` does. A norm that is not finite
        leaves everything as it was. Does not wait for the device.
        """
        norm = before = backend.global_norm(grads) if loss_scale is None else backend.unscale_(grads, loss_scale)
        if config.clip_value:
            backend.clamp_(grads, config.clip_value)
            norm = backend.global_norm(grads)
        lr = learning_rate(config, step, reductions)
        if config.optimizer in FUSED:
            self._adam_(backend, flat, grads, config, step, lr, norm, packed)
        else:
            settings = {name: float(getattr(config, name)) for name in OPTIMIZERS[config.optimizer]}
            slots = [self.slots[name] for name in config.slots]
            rule, clip = config.optimizer, config.clip
            backend.update_(rule, flat, grads, slots, lr=lr, norm=norm, clip=clip, settings=settings)
        return Norms(before, norm)

    def _adam_(
        self,
        backend: Backend,
        flat: Array,
        grads: Array,
        config: TrainingSettings,
        step: int,
        lr: float,
        norm: Number,
        packed: Sequence[Packed],
    ) -> None:
        apart = config.optimizer == "adamw"
        backend.adam_(
            flat,
            grads,
            self.slots["m"],
            self.slots["v"],
            step=step - self.began + 1,
            lr=lr,
            beta1=config.beta1,
            beta2=config.beta2,
            epsilon=config.epsilon,
            norm=norm,
            clip=config.clip,
            l2=0.0 if apart else config.weight_decay,
            decay=config.weight_decay if apart else 0.0,
            packed=packed,
        )
