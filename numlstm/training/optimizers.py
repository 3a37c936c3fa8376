"""The learning rate of each step, gradient clipping, and the update.

Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), RMSprop (Tieleman & Hinton 2012), SGD, momentum (Polyak
1964; with Nesterov's look ahead, Sutskever et al. 2013) and Adagrad (Duchi et al. 2011) match PyTorch exactly:
`weight_decay` is added to the gradient, except with AdamW, which shrinks the parameters themselves. FTRL-Proximal
(McMahan et al. 2013) matches TensorFlow: it forgets the initial parameters, which suits few networks. Clipping by the
global norm follows Pascanu et al. (2013). Parameters are one flat array.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from ..backends.protocol import Array, Backend, Number, Packed
from ..backends.spec.gradients import clipping
from ..settings.training import OPTIMIZERS, TrainingSettings

_THRESHOLD = 1e-4  # relative fall of the loss that ends a plateau: PyTorch's

FUSED = ("adam", "adamw")  # computed by `Backend.adam_`, which packs the weights in the same pass


def learning_rate(config: TrainingSettings, step: int, reductions: int = 0) -> float:
    """Return the learning rate of the update after `step` updates.

    It rises linearly to `lr` over `warmup_steps` updates. From there "constant" keeps it; "cosine" and "linear" lower
    it along half a cosine or a line to `lr_floor * lr` at the last update; "step" is TensorFlow's staircase, lr *
    decay_rate^(step // decay_steps); "plateau" multiplies it by `plateau_factor` for each of the `reductions`
    requested by a `Plateau`, but not below `lr_floor * lr`.
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
    """Counts how long the validation loss has not fallen, as PyTorch's ReduceLROnPlateau does.

    `best` is the lowest loss so far. `bad` counts the epochs since in which the loss did not fall below it by at least
    a ten-thousandth, and `reductions` how often `bad` exceeded the patience.
    """

    best: float | None = None
    bad: int = 0
    reductions: int = 0

    def after(self, loss: float, patience: int) -> Plateau:
        """Return the state after another epoch; more than `patience` bad epochs request a reduction."""
        if self.best is None or loss < self.best * (1 - _THRESHOLD):
            return Plateau(loss, 0, self.reductions)
        if self.bad + 1 > patience:
            return Plateau(self.best, 0, self.reductions + 1)
        return Plateau(self.best, self.bad + 1, self.reductions)


class Norms(NamedTuple):
    """A gradient's global norm before clipping and after `clip_value`; the device may still be computing them."""

    before: Number
    bounded: Number

    def read(self, clip: float) -> tuple[float, float]:
        """Return the norm before all clipping and after clipping by value and by norm; waits for the device."""
        before, bounded = float(self.before), float(self.bounded)
        return before, bounded * clipping(bounded, clip) if math.isfinite(before) else before


@dataclasses.dataclass
class Optimizer:
    """An optimizer's state for each parameter: flat device arrays (P,) by the names in `TrainingSettings.slots`.

    `began` is the number of updates that preceded the initialisation of its slots.
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
        """Update `flat`, and with Adam the packed weights, after `step` earlier updates; return the norms.

        If a `loss_scale` is given, the gradients are divided by it and it is adjusted (`Backend.unscale_`). `grads` is
        clamped to `config.clip_value`, as PyTorch's `clip_grad_value_` does. A gradient with a norm above `config.clip`
        is scaled down to it, as `clip_grad_norm_` does. If the norm is not finite, parameters and slots stay unchanged.
        Does not wait for the device.
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
