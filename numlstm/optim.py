"""The learning rate of each step, clipping by the global norm, and the update.

Adam as Kingma & Ba (2015) and PyTorch define it; clipping as Pascanu et al. (2013). Knows nothing about
texts, layers or files: parameters are one flat array.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from .backends import Array, Backend, Packed
from .config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the learning rate of the update after `step` updates.

    It rises on a line over `warmup_steps` updates to `lr`, then follows half a cosine down to `lr_floor * lr`
    at the last update.
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = min(1.0, (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps))
    return config.lr * (config.lr_floor + (1 - config.lr_floor) * (1 + math.cos(math.pi * done)) / 2)


@dataclasses.dataclass
class Adam:
    """Adam's running means of the gradients, `m`, and of their squares, `v`: flat device arrays (P,)."""

    m: Array
    v: Array

    def update_(
        self,
        backend: Backend,
        flat: Array,
        grads: Array,
        config: TrainConfig,
        step: int,
        packed: Sequence[Packed] = (),
    ) -> float:
        """Make the update after `step` updates in `flat` and the packed weights; return the norm before clipping.

        A gradient of a norm above `config.clip` is scaled down to it, as PyTorch's `clip_grad_norm_` does. A
        norm that is not finite leaves everything as it was.
        """
        norm = backend.global_norm(grads)
        if not math.isfinite(norm):
            return norm
        scale = min(1.0, config.clip / (norm + 1e-6)) if config.clip else 1.0
        backend.adam_(
            flat,
            grads,
            self.m,
            self.v,
            step=step + 1,
            lr=learning_rate(config, step),
            beta1=config.beta1,
            beta2=config.beta2,
            epsilon=config.epsilon,
            scale=scale,
            packed=packed,
        )
        return norm
