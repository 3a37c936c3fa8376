"""The LSTM in NumPy, one equation per line: to learn from, and to test the other backends against.

One layer reads x_t (D) at each step and keeps a hidden state h (H) and a cell c (H):

    z   = x_t W_x + h_{t-1} W_h + b         the four gates' inputs, in the order i f g o
    i   = sigmoid(z_i)                      input gate: how much of the candidate is written
    f   = sigmoid(z_f)                      forget gate: how much of the old cell stays
    g   = tanh(z_g)                         candidate
    o   = sigmoid(z_o)                      output gate: how much of the cell is output
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

(Hochreiter & Schmidhuber 1997; the forget gate, Gers et al. 2000.) The backward pass is the chain rule
through the same lines in reverse (backpropagation through time, Werbos 1990); each of its lines names the
forward line that it differentiates. `d` + name is the gradient of the loss with respect to that name.

Variants (`spec/variant.py`) change single lines. Layer norm (Ba et al. 2016) normalises each gate's inputs, and the
cell before its tanh, to mean 0 and variance 1 over the units: z = gain n(x_t W_x + h_{t-1} W_h) + b, and
tanh(c_gain n(c_t) + c_bias). A projection (Sak et al. 2014) makes a shorter h: h_t = (o tanh(c_t)) W_p. Hard gates are
i = clip(0.2 z_i + 0.5, 0, 1), likewise f and o. With recurrent dropout (Gal & Ghahramani 2016) the layer reads h_{t-1}
times a mask.

The functions implement the `Backend` protocol, whose docstrings describe their arguments and results. The code is
written for readability, not for speed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import BackendError
from ..spec.dropout import Mask
from ..spec.variant import EPSILON, PLAIN, Variant

Array = npt.NDArray[Any]
Weights = tuple[Array, ...]


class Layer(NamedTuple):
    """The weights of a layer."""

    W_x: Array
    W_h: Array
    b: Array
    variant: Variant = PLAIN


def pack_lstm(
    W_x: Array,
    W_h: Array,
    b: Array,
    *,
    tokens: bool,
    precision: str = "",
    variant: Variant = PLAIN,
    packed: Any = None,
) -> Layer:
    if precision:
        where = "cpu or gpu" if precision == "bf16" else "gpu"
        raise BackendError(
            f"the device reference computes in the parameters' dtype; precision {precision} needs `device` {where}"
        )
    return Layer(W_x, W_h, b, variant)


def pack_dense(W: Array, b: Array, *, precision: str = "", packed: Any = None) -> Weights:
    return (W, b)


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^-z), computed with tanh, which cannot overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * z) + 0.5)


def hard_sigmoid(z: Array) -> Array:
    """Return clip(0.2 z + 0.5, 0, 1)."""
    return np.asarray(np.clip(0.2 * z + 0.5, 0, 1))


def normalise(a: Array) -> tuple[Array, Array]:
    """Return a (..., H) normalised to mean 0 and variance 1 over H, and the factor (..., 1) it was multiplied by."""
    centred = a - a.mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + EPSILON)
    return centred * scale, scale


def normalise_backward(dn: Array, n: Array, scale: Array) -> Array:
    """Return the gradient of a, given dn, the gradient of n, where n, scale = normalise(a)."""
    along = (dn * n).mean(axis=-1, keepdims=True)  # scaling a does not change n ...
    return np.asarray(scale * (dn - dn.mean(axis=-1, keepdims=True) - n * along))  # ... nor does shifting a


class Step(NamedTuple):
    """The results of one step: the gates i f g o (4, B, H), c and h; the others are named as in the equations."""

    gates: Array
    c: Array
    tanh_c: Array
    h: Array
    n: tuple[Array, Array]  # the normalised gate inputs (B, 4, H) and their scale
    n_c: tuple[Array, Array]  # the normalised cell and its scale


@dataclasses.dataclass
class Tape:
    """What the backward pass needs from the forward pass: h and c have T + 1 rows, and row 0 is h0 and c0."""

    x: Array
    h: Array
    c: Array
    mask: Array
    steps: list[Step]


def step(x: Array, packed: Layer, h: Array, c: Array) -> Step:
    """Compute one step from x, (B) token ids or (B, D) activations, the masked h (B, R) and c (B, H) of the last."""
    W_x, W_h, b, variant = packed
    W_p, gain, c_gain, c_bias, hard = variant
    sigma = hard_sigmoid if hard else sigmoid
    projected = W_x[x] if x.ndim == 1 else x @ W_x  # a token id selects its row: a one-hot product
    a = projected + h @ W_h
    n = n_c = (a, a)
    if gain is None:
        z = a + b
    else:
        n = normalise(a.reshape(len(a), 4, -1))
        z = gain * n[0].reshape(a.shape) + b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    i, f, g, o = sigma(z_i), sigma(z_f), np.tanh(z_g), sigma(z_o)
    c = f * c + i * g
    if gain is None:
        tanh_c = np.tanh(c)
    else:
        n_c = normalise(c)
        tanh_c = np.tanh(c_gain * n_c[0] + c_bias)
    m = o * tanh_c
    return Step(np.stack([i, f, g, o]), c, tanh_c, m if W_p is None else m @ W_p, n, n_c)


def lstm_forward(
    x: Array, packed: Layer, h0: Array, c0: Array, *, mask: Mask | None = None, tape: Any = None
) -> tuple[Array, tuple[Array, Array], Tape]:
    T, dtype = len(x), packed.W_h.dtype
    h, c = (np.empty((T + 1, *start.shape), dtype) for start in (h0, c0))
    h[0], c[0] = h0, c0
    seen = np.ones((), dtype) if mask is None else mask.factors(h0.shape, dtype)
    steps = []
    for t in range(T):
        done = step(x[t], packed, h[t] * seen, c[t])
        h[t + 1], c[t + 1] = done.h, done.c
        steps.append(done)
    return h[1:], (h[T].copy(), c[T].copy()), Tape(x, h, c, seen, steps)


def lstm_backward(
    dh: Array, packed: Layer, tape: Tape, dW_x: Array, dW_h: Array, db: Array, dvariant: Variant = PLAIN
) -> tuple[Array | None, Array, Array]:
    W_x, W_h, _, (W_p, gain, c_gain, _, hard) = packed
    x, h, c = tape.x, tape.h, tape.c
    tokens = x.ndim == 2
    dx = None if tokens else np.empty_like(x, dtype=W_x.dtype)
    dh_next, dc_next = np.zeros_like(h[0]), np.zeros_like(c[0])
    for t in reversed(range(len(x))):
        (i, f, g, o), _, tanh_c, _, (n, scale), (n_c, c_scale) = tape.steps[t]
        dm = dh_t = dh[t] + dh_next  # h_t goes up to the next layer and on to step t + 1
        if W_p is not None:
            dvariant.W_p[...] += (o * tanh_c).T @ dh_t  # h = m @ W_p
            dm = dh_t @ W_p.T  # h = m @ W_p
        do = dm * tanh_c  # m = o * tanh_c
        dc = dm * o * (1 - tanh_c**2)  # m = o * tanh(...)
        if gain is not None:
            dvariant.c_gain[...] += (dc * n_c).sum(axis=0)  # tanh(c_gain * n_c + c_bias)
            dvariant.c_bias[...] += dc.sum(axis=0)  # tanh(c_gain * n_c + c_bias)
            dc = normalise_backward(dc * c_gain, n_c, c_scale)  # n_c = normalise(c)
        dc = dc + dc_next  # c_t goes on to step t + 1 as well
        di = dc * g  # c = f * c_prev + i * g
        df = dc * c[t]  # c = f * c_prev + i * g
        dg = dc * i  # c = f * c_prev + i * g
        slope = _hard_slope if hard else _slope
        dz = np.concatenate(
            [
                di * slope(i),  # i = sigma(z_i)
                df * slope(f),  # f = sigma(z_f)
                dg * (1 - g**2),  # g = tanh(z_g)
                do * slope(o),  # o = sigma(z_o)
            ],
            axis=1,
        )
        db += dz.sum(axis=0)  # z = ... + b
        da = dz
        if gain is not None:
            dvariant.gain[...] += (dz * n.reshape(dz.shape)).sum(axis=0)  # z = gain * n + b
            da = normalise_backward((dz * gain).reshape(n.shape), n, scale).reshape(dz.shape)  # n = normalise(a)
        if tokens:
            np.add.at(dW_x, x[t], da)  # a = W_x[x] + ...
        else:
            dW_x += x[t].T @ da  # a = x @ W_x + ...
        dW_h += (h[t] * tape.mask).T @ da  # a = (h_prev * mask) @ W_h + ...
        if dx is not None:
            dx[t] = da @ W_x.T  # a = x @ W_x + ...
        dh_next = np.asarray(da @ W_h.T * tape.mask)  # a = (h_prev * mask) @ W_h + ...
        dc_next = dc * f  # c = f * c_prev + i * g
    return dx, dh_next, dc_next


def _slope(gate: Array) -> Array:
    return np.asarray(gate * (1 - gate))  # of sigmoid, at the point where its value is `gate`


def _hard_slope(gate: Array) -> Array:
    return np.asarray(np.where((gate > 0) & (gate < 1), 0.2, 0.0), gate.dtype)


def embed(ids: Array, W: Array) -> Array:
    return np.asarray(W[ids])


def embed_backward(dx: Array, ids: Array, dW: Array) -> None:
    np.add.at(dW, ids, dx)  # x = W[ids]


def dropout(x: Array, mask: Mask, *, out: Any = None) -> Array:
    fits = out is not None and out.shape == x.shape
    return np.asarray(np.multiply(x, mask.factors(x.shape, x.dtype), out=out if fits else None))


def dense_forward(h: Array, packed: Weights, *, out: Any = None) -> Array:
    W, b = packed
    return np.asarray(h @ W + b)


def dense_backward(dlogits: Array, h: Array, packed: Weights, dW: Array, db: Array) -> Array:
    W, _ = packed
    dW += h.T @ dlogits  # logits = h @ W + b
    db += dlogits.sum(axis=0)  # logits = h @ W + b
    return np.asarray(dlogits @ W.T)  # logits = h @ W + b


def softmax_cross_entropy(logits: Array, targets: Array, *, scale: Any = None) -> tuple[float, Array]:
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)  # the softmax is the same, and exp cannot overflow
    powers = np.exp(shifted)
    totals = powers.sum(axis=1, keepdims=True)
    loss = (np.log(totals[:, 0]) - shifted[rows, targets]).mean(dtype=np.float64)
    dlogits = powers / totals
    dlogits[rows, targets] -= 1  # -log softmax(logits)[target]
    return float(loss), dlogits / logits.dtype.type(len(logits) / (1 if scale is None else scale[0]))
