"""The LSTM in NumPy, one equation a line: the page to learn from, and the judge of the other backends.

One layer reads x_t (D) at each step and keeps a hidden state h (H) and a cell c (H):

    z   = x_t W_x + h_{t-1} W_h + b         the four gates' inputs, in the order i f g o
    i   = sigmoid(z_i)                      input gate: how much of the candidate is written
    f   = sigmoid(z_f)                      forget gate: how much of the old cell stays
    g   = tanh(z_g)                         candidate
    o   = sigmoid(z_o)                      output gate: how much of the cell is shown
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

(Hochreiter & Schmidhuber 1997; the forget gate, Gers et al. 2000.) The backward pass is the chain rule
through the same lines in reverse (backpropagation through time, Werbos 1990); each of its lines names the
forward line that it differentiates. `d` + name is the gradient of the loss with respect to that name.

The functions are those of the `Backend` protocol, whose docstrings say what goes in and out. Written for the
reader, not for speed. Knows nothing about networks of several layers, training, files or texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BackendError

Array = npt.NDArray[Any]
Weights = tuple[Array, ...]

name = "reference"


def available() -> str:
    return ""


def describe() -> str:
    return "reference (NumPy)"


def set_threads(threads: int | None) -> int:
    return 1


def asarray(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    return np.array(values, dtype)


def to_numpy(array: Array) -> Array:
    return np.array(array)


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike) -> Array:
    return np.zeros(shape, dtype)


def pack_lstm(W_x: Array, W_h: Array, b: Array, *, tokens: bool, precision: str = "", packed: Any = None) -> Weights:
    if precision:
        raise BackendError(f"the device reference computes in the parameters' dtype; precision {precision} needs cpu")
    return (W_x, W_h, b)


def pack_dense(W: Array, b: Array, *, packed: Any = None) -> Weights:
    return (W, b)


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^-z) by way of tanh, which cannot overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * z) + 0.5)


@dataclasses.dataclass
class Tape:
    """What the forward pass leaves for the backward pass: h and c have T + 1 rows, row 0 being h0 and c0."""

    x: Array
    h: Array
    c: Array
    gates: Array  # (T, 4, B, H): i f g o


def step(x: Array, packed: Weights, h: Array, c: Array) -> tuple[Array, Array, tuple[Array, Array, Array, Array]]:
    """Read x, (B) token ids or (B, D) activations; return the new h and c, each (B, H), and the gates i f g o."""
    W_x, W_h, b = packed
    projected = W_x[x] if x.ndim == 1 else x @ W_x  # a token picks its row: a one-hot product
    z_i, z_f, z_g, z_o = np.split(projected + h @ W_h + b, 4, axis=1)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    c = f * c + i * g
    return o * np.tanh(c), c, (i, f, g, o)


def lstm_forward(
    x: Array, packed: Weights, h0: Array, c0: Array, *, tape: Any = None
) -> tuple[Array, tuple[Array, Array], Tape]:
    T, (B, H) = len(x), h0.shape
    h = np.empty((T + 1, B, H), packed[1].dtype)
    c, gates = np.empty_like(h), np.empty((T, 4, B, H), h.dtype)
    h[0], c[0] = h0, c0
    for t in range(T):
        h[t + 1], c[t + 1], gates[t] = step(x[t], packed, h[t], c[t])
    return h[1:], (h[T].copy(), c[T].copy()), Tape(x, h, c, gates)


def lstm_backward(
    dh: Array, packed: Weights, tape: Tape, dW_x: Array, dW_h: Array, db: Array
) -> tuple[Array | None, Array, Array]:
    W_x, W_h, _ = packed
    x, h, c = tape.x, tape.h, tape.c
    tokens = x.ndim == 2
    dx = None if tokens else np.empty_like(x, dtype=W_x.dtype)
    dh_next, dc_next = np.zeros_like(h[0]), np.zeros_like(c[0])
    for t in reversed(range(len(x))):
        i, f, g, o = tape.gates[t]
        tanh_c = np.tanh(c[t + 1])
        dh_t = dh[t] + dh_next  # h_t goes up to the next layer and on to step t + 1
        dc = dc_next + dh_t * o * (1 - tanh_c**2)  # h = o * tanh(c)
        do = dh_t * tanh_c  # h = o * tanh(c)
        di = dc * g  # c = f * c_prev + i * g
        df = dc * c[t]  # c = f * c_prev + i * g
        dg = dc * i  # c = f * c_prev + i * g
        dz = np.concatenate(
            [
                di * i * (1 - i),  # i = sigmoid(z_i)
                df * f * (1 - f),  # f = sigmoid(z_f)
                dg * (1 - g**2),  # g = tanh(z_g)
                do * o * (1 - o),  # o = sigmoid(z_o)
            ],
            axis=1,
        )
        if tokens:
            np.add.at(dW_x, x[t], dz)  # z = W_x[x] + ...
        else:
            dW_x += x[t].T @ dz  # z = x @ W_x + ...
        dW_h += h[t].T @ dz  # z = h_prev @ W_h + ...
        db += dz.sum(axis=0)  # z = ... + b
        if dx is not None:
            dx[t] = dz @ W_x.T  # z = x @ W_x + ...
        dh_next = dz @ W_h.T  # z = h_prev @ W_h + ...
        dc_next = dc * f  # c = f * c_prev + i * g
    return dx, dh_next, dc_next


def dense_forward(h: Array, packed: Weights, *, out: Any = None) -> Array:
    W, b = packed
    return np.asarray(h @ W + b)


def dense_backward(dlogits: Array, h: Array, packed: Weights, dW: Array, db: Array) -> Array:
    W, _ = packed
    dW += h.T @ dlogits  # logits = h @ W + b
    db += dlogits.sum(axis=0)  # logits = h @ W + b
    return np.asarray(dlogits @ W.T)  # logits = h @ W + b


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)  # softmax does not change, and exp cannot overflow
    powers = np.exp(shifted)
    totals = powers.sum(axis=1, keepdims=True)
    loss = (np.log(totals[:, 0]) - shifted[rows, targets]).mean(dtype=np.float64)
    dlogits = powers / totals
    dlogits[rows, targets] -= 1  # -log softmax(logits)[target]
    return float(loss), dlogits / logits.dtype.type(len(logits))


def global_norm(grads: Array) -> float:
    return float(np.sqrt(np.sum(np.square(grads, dtype=np.float64))))


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
    scale: float,
    l2: float = 0.0,
    decay: float = 0.0,
    packed: Sequence[Weights] = (),
) -> None:
    """Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), as PyTorch computes them."""
    grads = grads * params.dtype.type(scale)
    if l2:
        grads += l2 * params
    if decay:
        params *= 1 - lr * decay  # apart from the gradient, so that m and v see nothing of it
    m += (1 - beta1) * (grads - m)  # the mean of the gradients, old ones fading by beta1 a step
    v += (1 - beta2) * (grads**2 - v)  # the mean of their squares
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
    scale: float,
    settings: Mapping[str, float],
) -> None:
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
    """FTRL-Proximal (McMahan et al. 2013), as TensorFlow computes it: n adds up squares, z is the linear term."""
    power, l1, l2 = -settings["lr_power"], settings["l1"], settings["l2"]
    n_new = n + g**2
    z += g - (n_new**power - n**power) / lr * params
    n[...] = n_new
    quadratic = n_new**power / lr + 2 * l2
    far = np.abs(z) > l1  # what the linear term does not outweigh is exactly zero
    params[...] = np.divide(np.sign(z) * l1 - z, quadratic, out=np.zeros_like(params), where=far)


def clamp_(values: Array, bound: float) -> None:
    np.clip(values, -bound, bound, out=values)


def generate(
    layers: Sequence[Weights],
    output: Weights,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: npt.NDArray[np.float64],
    temperature: float,
) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
    drawn = np.empty(uniforms.shape, np.int32)
    carried = list(state)
    for n, uniform in enumerate(uniforms):
        x = np.asarray(ids)
        for layer, (weights, (h, c)) in enumerate(zip(layers, carried, strict=True)):
            h, c, _ = step(x, weights, h, c)
            x, carried[layer] = h, (h, c)
        ids = drawn[n] = draw(dense_forward(x, output), uniform, temperature)
    return drawn, carried


def draw(logits: Array, uniform: npt.NDArray[np.float64], temperature: float) -> npt.NDArray[np.int32]:
    """Return one token a row: the first whose cumulative probability passes `uniform (B)`, for logits (B, V).

    Computed as exp((logits - max) / temperature) in float64: no temperature overflows. At 0 the likeliest.
    """
    if temperature == 0:
        return np.asarray(logits.argmax(axis=1), np.int32)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        weights = np.exp(shifted / temperature)
    sums = np.cumsum(weights, axis=1)
    passed_over = (sums <= uniform[:, None] * sums[:, -1:]).sum(axis=1)
    return np.asarray(np.minimum(passed_over, logits.shape[1] - 1), np.int32)
