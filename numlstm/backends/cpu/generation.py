"""Drawing tokens one after the other: the whole network and the draw in one compiled call.

The state is carried from token to token in two buffers a layer that take turns, so nothing is allocated per
token. One thread: at these sizes a step takes microseconds, and waking others would take longer. Knows nothing
about vocabularies or random generators: the uniform numbers are handed in.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import kernel
from .product import multiply_rows
from .recurrence import project, recur


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
def generate(start, W_x, W_h, h, c, tanh_c, gates, W_y, b_y, logits, weights, ids, none, uniforms, temperature, drawn):
    """Fill drawn (N, B) from uniforms (N, B), reading ids (B) first.

    One entry per layer: start, W_x, W_h as packed, h (2, B, H), whose row 0 is set and whose row N % 2 is left
    with the last state, c, tanh_c (B, P lanes), gates (B, columns). `none (B)` holds zeros: the place in
    `start` of a layer that reads activations.
    """
    for n in range(drawn.shape[0]):
        old, new = n % 2, 1 - n % 2
        for layer in range(len(start)):
            below, hidden = h[max(layer - 1, 0)][new], h[layer]
            x = below[:, : below.shape[1] if layer else 0]
            project(none if layer else ids, x, start[layer], W_x[layer], gates[layer])
            recur(hidden[old], W_h[layer], c[layer], c[layer], tanh_c[layer], gates[layer], hidden[new])
        multiply_rows(h[len(start) - 1][new], W_y, b_y, logits)
        for b in range(ids.shape[0]):
            drawn[n, b] = draw(logits[b], uniforms[n, b], temperature, weights)
            ids[b] = drawn[n, b]
