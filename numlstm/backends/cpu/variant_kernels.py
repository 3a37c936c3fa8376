"""Kernels for layers with layer norm, a projection, hard gates or recurrent dropout: forward, backward, generation.

`recurrence.py` fuses all operations on a panel. Here they are separate, since a norm needs all units of a row. The
equations are those of `reference/lstm.py`, with the same names. A layer's weights and tape are passed as tuples of
arrays, `Weights` and `Steps`; arrays for features that the layer lacks are empty. The rows of a batch are sharded over
the cores.

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
    """A layer's weights in panels: see `PackedLSTM`; W_p as in `PackedDense`; `mask (B, R)` holds dropout factors."""

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
    """The saved results of a layer's steps.

    `n` and `scale` are the normalised inputs of the gates and their factors, `n_c` and `c_scale` those of the cell. `m`
    is o * tanh(...) before the projection, or h[1:] without one. `seen` is h times the mask, or h without one.
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
    """dv = the gradient of the argument of tanh; tanh_c becomes the gradient of the gate o; for one panel of units."""
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
        """Turn gates into the gradients of their inputs; update dc_next from the next step for the previous one."""
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
    """Run step t for the rows low:high."""
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
    """Run a layer over all steps; step 0 of c, h and seen holds the initial state."""
    T, B = ids.shape
    for t in range(T):
        _advance(t, s * B // shards, (s + 1) * B // shards, ids, x, weights, steps)


@ShardedKernel
def backward(dh, weights, steps, W_p_T, W_h_T, W_x_T, dr, dm, dv, dc_next, dh_next, dx, sums, c_sums, s, shards):
    """Turn the gates into the gradients of their inputs before any layer norm; fill dx, dh_next and dc_next.

    dh (T, B, R) comes from above; dx is (T, B, D); on entry dh_next (B, R) and dc_next (P, B, lanes) hold the gradients
    of the last state. W_p_T is as in `PackedDense`. `dr (T, B, at least R)` receives the gradient of h; `dm` is `dr`
    without a projection, else (1, B, P lanes). `dv` has the shape of tanh_c. Each shard adds to its own sums
    (shards, 2, P, 4 lanes) for gain and b, and c_sums (shards, 2, P, lanes) for c_gain and c_bias. Overwrites tanh_c.
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
    """Fill drawn (N, B) from uniforms (N, B); the first input is ids[0] (B).

    `weights` and `steps` have one entry per layer; `steps` has room for one step, and its step 0 holds the initial
    state on entry, the last one on return. `x (1, B, at least E)` is scratch space for rows of the embedding (V, E),
    which is (0, 0) if there is none. The other arguments are as in `generation.generate`.
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
            # A literal 0 would make Numba compile `_advance` once more.
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
    """Copy the state after step 0 to the state before it."""
    c, h = steps[3], steps[8]
    c[:, 0, low:high] = c[:, 1, low:high]
    h[0, low:high] = h[1, low:high]
