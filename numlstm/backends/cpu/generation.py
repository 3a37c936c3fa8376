"""Drawing tokens one after the other: the whole network and the draw in one compiled call.

The state is carried from token to token in two buffers a layer that take turns, so nothing is allocated per
token. One thread: at these sizes a step takes microseconds, and waking others would take longer. Knows nothing
about vocabularies or random generators: the uniform numbers are handed in.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import kernel
from .product import multiply_rows, tile_height
from .recurrence import forward_tile


@kernel
def draw(logits, uniform, temperature, weights):
    """Return the token that `uniform` picks from softmax(logits / temperature); at 0 the likeliest."""
    best = 0
    for v in range(logits.shape[0]):
        if logits[v] > logits[best]:
            best = v
    if temperature == 0.0:
        return best
    total = 0.0
    for v in range(logits.shape[0]):
        total += math.exp((np.float64(logits[v]) - np.float64(logits[best])) / temperature)
        weights[v] = total
    threshold = uniform * total
    for v in range(logits.shape[0]):
        if weights[v] > threshold:
            return v
    return logits.shape[0] - 1


@kernel
def _step(ids, x, start, W_x, W_h, h_prev, h, c, tanh_c, gates):
    B = ids.shape[0]
    for p in range(start.shape[1]):
        u, a = p * start.shape[3], 0
        while a < B:
            b = a + tile_height(B - a)
            forward_tile(
                b - a,
                ids[a:b],
                start[:, p],
                x[a:b],
                W_x[p],
                h_prev[a:b],
                W_h[p],
                c[a:b, u:],
                c[a:b, u:],
                tanh_c[a:b, u:],
                gates[a:b, 4 * u :],
                h[a:b, u:],
            )
            a = b


@kernel
def generate(start, W_x, W_h, h, c, tanh_c, gates, W_y, b_y, logits, weights, ids, none, uniforms, temperature, drawn):
    """Fill drawn (N, B) from uniforms (N, B), reading ids (B) first.

    One entry per layer: start, W_x, W_h as packed, h (2, B, H), whose row 0 is set and whose row N % 2 is left
    with the last state, c, tanh_c (B, P lanes), gates (B, columns). `none (B)` holds zeros: the place in
    `start` of a layer that reads activations.
    """
    for n in range(drawn.shape[0]):
        old, new = n % 2, 1 - n % 2
        _step(ids, h[0][new, :, :0], start[0], W_x[0], W_h[0], h[0][old], h[0][new], c[0], tanh_c[0], gates[0])
        for layer in range(1, len(start)):
            x, H = h[layer - 1][new], h[layer - 1].shape[2]
            hidden = h[layer]
            _step(
                none,
                x[:, :H],
                start[layer],
                W_x[layer],
                W_h[layer],
                hidden[old],
                hidden[new],
                c[layer],
                tanh_c[layer],
                gates[layer],
            )
        multiply_rows(h[len(start) - 1][new], W_y, b_y, logits)
        for b in range(ids.shape[0]):
            drawn[n, b] = draw(logits[b], uniforms[n, b], temperature, weights)
            ids[b] = drawn[n, b]
