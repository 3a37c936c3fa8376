"""Layers with layer norm, a projection, hard gates or recurrent dropout, step by step: forward, backward, drawing.

What `recurrence.py` fuses panel by panel is taken apart here, since a norm needs all units of a row. The equations are
those of `reference/lstm.py` with the same names. A layer's weights and its tape come as tuples of arrays, `Weights` and
`Steps`, in which what the layer lacks has no entries. The rows of a batch are sharded over the cores.

Shapes: P panels of `lanes` units; gates (P, T + 1, B, 4 lanes), cells (P, T + 1, B, lanes), h (T + 1, B, at least R).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .activations import hard_sigmoid, sigmoid, tanh
from .choice import choose
from .jit import ShardedKernel, kernel
from .layernorm import normalise, normalise_backward
from .product import add_product
from .recurrence import add_products
from .simd import Emitter, Vec, View, vector_code


class Weights(NamedTuple):
    """A layer's weights, in panels: see `PackedLSTM`. W_p and W_p_T as a dense layer's; `mask` (B, R) of factors."""

    start: Any
    W_x: Any
    W_h: Any
    W_p: Any
    gain: Any
    b: Any
    c_gain: Any
    c_bias: Any
    mask: Any
    units: int
    hard: int


class Steps(NamedTuple):
    """What the steps of a layer leave; `n`, `scale` are of the gates' inputs, `n_c`, `c_scale` of the cell, normalised.

    `m` is o * tanh(...), before the projection; `seen` is h times the mask. Without those they are h[1:] and h.
    """

    gates: Any
    n: Any
    scale: Any
    c: Any
    n_c: Any
    c_scale: Any
    tanh_c: Any
    m: Any
    h: Any
    seen: Any


def _cell_code(gate: Callable[[Emitter, Vec], Vec]) -> Any:
    @vector_code
    def cells(emit: Emitter, gates: View, c_prev: View, c: View) -> None:
        """Turn the gates' inputs into gates, and c_prev into c, for all rows and one panel of units."""
        with emit.loop(gates.shape[0]) as loop:
            r = loop.index
            places = [emit.move(gates.at(r), n * emit.lanes) for n in range(4)]
            z_i, z_f, z_g, z_o = (emit.load(place) for place in places)
            i, f, g, o = gate(emit, z_i), gate(emit, z_f), tanh(emit, z_g), gate(emit, z_o)
            emit.store(emit.fma(f, emit.load(c_prev.at(r)), i * g), c.at(r))
            for value, place in zip((i, f, g, o), places, strict=True):
                emit.store(value, place)

    return cells


_soft_cells, _hard_cells = _cell_code(sigmoid), _cell_code(hard_sigmoid)


@vector_code
def _outputs(emit: Emitter, gates: View, tanh_c: View, m: View) -> None:
    """tanh_c = tanh(tanh_c) and m = o * tanh_c, for all rows and one panel of units."""
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        T = tanh(emit, emit.load(tanh_c.at(r)))
        emit.store(T, tanh_c.at(r))
        emit.store(emit.load(emit.move(gates.at(r), 3 * emit.lanes)) * T, m.at(r))


@vector_code
def _backward_outputs(emit: Emitter, gates: View, dm: View, tanh_c: View, dv: View) -> None:
    """dv = the gradient of what tanh was taken of, and tanh_c becomes that of the gate o, for one panel of units."""
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        given, T = emit.load(dm.at(r)), emit.load(tanh_c.at(r))
        o = emit.load(emit.move(gates.at(r), 3 * emit.lanes))
        emit.store(given * o * (1.0 - T * T), dv.at(r))  # m = o * tanh(v)
        emit.store(given * T, tanh_c.at(r))  # m = o * tanh(v)


def _slope(emit: Emitter, gate: Vec) -> Vec:
    return gate * (1.0 - gate)


def _hard_slope(emit: Emitter, gate: Vec) -> Vec:
    builder, zero = emit.builder, emit.vec(0.0)
    above = builder.fcmp_ordered(">", gate.value, zero.value)
    below = builder.fcmp_ordered("<", gate.value, emit.vec(1.0).value)
    return Vec(emit, builder.select(builder.and_(above, below), emit.vec(0.2).value, zero.value))


def _backward_code(slope: Callable[[Emitter, Vec], Vec]) -> Any:
    @vector_code
    def backward_cells(emit: Emitter, gates: View, do: View, dv: View, dc_next: View, c_prev: View) -> None:
        """Turn gates into the gradients of their inputs; dc_next comes from the step after, leaves for that before."""
        with emit.loop(gates.shape[0]) as loop:
            r = loop.index
            places = [emit.move(gates.at(r), n * emit.lanes) for n in range(4)]
            i, f, g, o = (emit.load(place) for place in places)
            dc = emit.load(dv.at(r)) + emit.load(dc_next.at(r))
            emit.store(dc * f, dc_next.at(r))  # c = f * c_prev + i * g
            through = (
                dc * g * slope(emit, i),  # c = f * c_prev + i * g
                dc * emit.load(c_prev.at(r)) * slope(emit, f),
                dc * i * (1.0 - g * g),
                emit.load(do.at(r)) * slope(emit, o),
            )
            for gradient, place in zip(through, places, strict=True):
                emit.store(gradient, place)

    return backward_cells


_soft_backward, _hard_backward = _backward_code(_slope), _backward_code(_hard_slope)


@kernel
def _advance(t, low, high, ids, x, weights, steps):
    """Take the rows from low to before high through step t."""
    start, W_x, W_h, W_p, gain, b, c_gain, c_bias, mask, H, hard = weights
    gates, n, scale, c, n_c, c_scale, tanh_c, m, h, seen = steps
    P, VL, R = W_h.shape[0], start.shape[3], W_h.shape[1]
    for p in range(P):
        here = gates[p, t, low:high]
        after = W_h[(p + 1) % P]
        read, before = x[t, low:high], seen[t, low:high]
        add_products(ids[t, low:high], start[:, p], True, read, W_x[p], before, W_h[p], after, here)
    if gain.shape[0]:
        normalise(t, low, high, H, gates, n, scale, gain, b, gates)
    for p in range(P):
        if hard:
            _hard_cells(gates[p, t, low:high], c[p, t, low:high], c[p, t + 1, low:high])
        else:
            _soft_cells(gates[p, t, low:high], c[p, t, low:high], c[p, t + 1, low:high])
        tanh_c[p, t, low:high] = c[p, t + 1, low:high]
    if gain.shape[0]:
        normalise(t, low, high, H, tanh_c, n_c, c_scale, c_gain, c_bias, tanh_c)
    for p in range(P):
        _outputs(gates[p, t, low:high], tanh_c[p, t, low:high], m[t, low:high, p * VL :])
    if W_p.shape[0]:
        h[t + 1, low:high] = 0
        add_product(m[t : t + 1, low:high], W_p, h[t + 1, low:high, :R])
    if mask.shape[0]:
        for row in range(low, high):
            _multiply(h[t + 1, row], mask[row], R, seen[t + 1, row])


@kernel
def _multiply(a, b, count, out):
    for k in range(count):
        out[k] = a[k] * b[k]


@kernel
def _add(a, b, count, out):
    for k in range(count):
        out[k] = a[k] + b[k]


@ShardedKernel
def forward(ids, x, weights, steps, s, shards):
    """Take a layer through all steps; step 0 of c, h and seen is set."""
    T, B = ids.shape
    for t in range(T):
        _advance(t, s * B // shards, (s + 1) * B // shards, ids, x, weights, steps)


@ShardedKernel
def backward(dh, weights, steps, W_p_T, W_h_T, W_x_T, dr, dm, dv, dc_next, dh_next, dx, sums, c_sums, s, shards):
    """Turn the gates into the gradients of what the products of weights put there; fill dx, dh_next and dc_next.

    dh (T, B, R) comes from above; dx is (T, B, D); dh_next (B, R) and dc_next (P, B, lanes) hold that of the last
    state. `dr (T, B, at least R)` is left with the gradient of h; without a projection `dm` is `dr`, else (1, B, P
    lanes). `dv` is of tanh_c's shape. Each shard adds to its sums (shards, 2, P, 4 lanes) for gain and b, c_sums
    (shards, 2, P, lanes) for c_gain and c_bias. Uses up tanh_c.
    """
    start, _, W_h, _, gain, _, c_gain, _, mask, H, hard = weights
    gates, n, scale, c, n_c, c_scale, tanh_c, _, _, _ = steps
    T, B, R = dh.shape
    P, VL = W_h.shape[0], start.shape[3]
    low, high = s * B // shards, (s + 1) * B // shards
    for t in range(T - 1, -1, -1):
        for row in range(low, high):
            _add(dh[t, row], dh_next[row], R, dr[t, row])
        u = t
        if W_p_T.shape[0]:
            u = 0
            dm[u, low:high] = 0
            add_product(dr[t : t + 1, low:high], W_p_T, dm[u, low:high, :H])
        for p in range(P):
            given = dm[u, low:high, p * VL :]
            _backward_outputs(gates[p, t, low:high], given, tanh_c[p, t, low:high], dv[p, t, low:high])
        if gain.shape[0]:
            normalise_backward(t, low, high, H, dv, n_c, c_scale, c_gain, c_sums[s, 0], c_sums[s, 1])
        for p in range(P):
            here, do, dc = gates[p, t, low:high], tanh_c[p, t, low:high], dv[p, t, low:high]
            if hard:
                _hard_backward(here, do, dc, dc_next[p, low:high], c[p, t, low:high])
            else:
                _soft_backward(here, do, dc, dc_next[p, low:high], c[p, t, low:high])
        if gain.shape[0]:
            normalise_backward(t, low, high, H, gates, n, scale, gain, sums[s, 0], sums[s, 1])
        dh_next[low:high] = 0
        add_product(gates[:, t, low:high], W_h_T, dh_next[low:high, :R])
        if mask.shape[0]:
            for row in range(low, high):
                _multiply(dh_next[row], mask[row], R, dh_next[row])
        dx[t, low:high] = 0
        add_product(gates[:, t, low:high], W_x_T, dx[t, low:high])


@ShardedKernel
def generate(weights, steps, x, embedding, W_y, b_y, logits, ids, uniforms, controls, drawn, s, shards):
    """Fill drawn (N, B) from uniforms (N, B), reading ids[0] (B) first.

    One entry per layer: weights and steps of one step, whose step 0 is set and is left with the last state. `x (1, B,
    at least E)` is room for rows of the embedding (V, E), or (0, 0). The rest is as in `generation.generate`.
    """
    N, B = drawn.shape
    low, high = s * B // shards, (s + 1) * B // shards
    last = len(weights) - 1
    for n in range(N):
        read = x
        for row in range(low, high if embedding.shape[0] else low):
            x[0, row, : embedding.shape[1]] = embedding[ids[0, row]]
        for layer in range(len(weights)):
            tokens = layer == 0 and embedding.shape[0] == 0
            # For the literal 0 Numba would compile `_advance` once more.
            _advance(np.intp(0), low, high, ids[:1] if tokens else ids[1:], read, weights[layer], steps[layer])
            _carry(steps[layer], low, high)
            read = steps[layer][8][1:]  # h
        for row in range(low, high):
            logits[row] = b_y
        add_product(steps[last][8][1:, low:high], W_y, logits[low:high])
        for row in range(low, high):
            drawn[n, row] = choose(logits[row], uniforms[n, row], row, n, controls, s)
            ids[0, row] = drawn[n, row]


@kernel
def _carry(steps, low, high):
    """Set the state before step 0 to that after it."""
    c, h = steps[3], steps[8]
    c[:, 0, low:high] = c[:, 1, low:high]
    h[0, low:high] = h[1, low:high]
