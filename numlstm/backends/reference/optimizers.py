"""The optimizers in NumPy, one equation per line, on flat arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol import Number
from ..spec.gradients import clipping

Array = npt.NDArray[Any]


def adam_(
    params: Array,
    grads: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    norm: Number,
    clip: float,
    l2: float = 0.0,
    decay: float = 0.0,
    packed: Sequence[Any] = (),
) -> None:
    """Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), as PyTorch computes them."""
    scale = clipping(norm, clip)
    if not scale:
        return
    grads = grads * params.dtype.type(scale)
    if l2:
        grads += l2 * params
    if decay:
        params *= 1 - lr * decay  # not part of the gradient, so m and v do not include it
    m += (1 - beta1) * (grads - m)  # running mean of the gradients, which decay by beta1 per step
    v += (1 - beta2) * (grads**2 - v)  # running mean of their squares
    m_hat = m / (1 - beta1**step)  # both start at zero: undo that bias
    v_hat = v / (1 - beta2**step)
    params -= (lr * m_hat / (np.sqrt(v_hat) + epsilon)).astype(params.dtype)


def update_(
    rule: str,
    params: Array,
    grads: Array,
    slots: Sequence[Array],
    *,
    lr: float,
    norm: Number,
    clip: float,
    settings: Mapping[str, float],
) -> None:
    scale = clipping(norm, clip)
    if not scale:
        return
    g = grads * params.dtype.type(scale)
    if rule == "ftrl":
        _ftrl(params, g, slots[0], slots[1], lr, settings)
        return
    g += settings["weight_decay"] * params  # the gradient of weight_decay / 2 * params**2
    if rule == "rmsprop":  # Tieleman & Hinton 2012, as PyTorch computes it
        square = slots[0]
        square += (1 - settings["rho"]) * (g**2 - square)
        g /= np.sqrt(square) + settings["epsilon"]
    elif rule == "adagrad":  # Duchi et al. 2011, as PyTorch computes it
        total = slots[0]
        total += g**2
        g /= np.sqrt(total) + settings["epsilon"]
    if settings.get("momentum"):  # Polyak 1964, as PyTorch computes it
        velocity, gradient = slots[-1], g
        velocity *= settings["momentum"]
        velocity += gradient
        g = gradient + settings["momentum"] * velocity if settings.get("nesterov") else velocity
    params -= lr * g


def _ftrl(params: Array, g: Array, n: Array, z: Array, lr: float, settings: Mapping[str, float]) -> None:
    """FTRL-Proximal (McMahan et al. 2013), as TensorFlow computes it: n is the sum of squares, z the linear term."""
    power, l1, l2 = -settings["lr_power"], settings["l1"], settings["l2"]
    n_new = n + g**2
    z += g - (n_new**power - n**power) / lr * params
    n[...] = n_new
    quadratic = n_new**power / lr + 2 * l2
    far = np.abs(z) > l1  # where |z| is at most l1, the parameter is exactly zero
    params[...] = np.divide(np.sign(z) * l1 - z, quadratic, out=np.zeros_like(params), where=far)


def clamp_(values: Array, bound: float) -> None:
    np.clip(values, -bound, bound, out=values, where=np.isfinite(values))


def approach_(values: Array, to: Array, share: float) -> None:
    values += values.dtype.type(share) * (to - values)
