"""Token generation: the whole network and the sampling in one compiled call.

Each layer's h alternates between two buffers, so nothing is allocated per token. Each thread takes its share of the
streams through all tokens. One stream uses one thread: at these sizes a step takes microseconds, and waking other
threads would take longer. The caller passes the uniform random numbers.
"""

from __future__ import annotations

from .choice import choose
from .jit import ShardedKernel, kernel
from .product import add_product
from .recurrence import step


@kernel
def _predict(start, W_x, W_h, h, operand, c, tanh_c, gates, W_y, b_y, logits, ids, old, new, low, high):
    """Run the streams low:high through all layers to their logits."""
    VL = c[0].shape[2]
    for layer in range(len(start)):
        below = operand[layer - 1 if layer else 0]
        x = below[new, low:high]
        P = W_h[layer].shape[0]
        for p in range(P):
            step(
                ids[min(layer, 1), low:high],
                start[layer][:, p],
                True,
                x,
                W_x[layer][p],
                operand[layer][old, low:high],
                W_h[layer][p],
                W_h[layer][(p + 1) % P],
                c[layer][p, low:high],
                c[layer][p, low:high],
                tanh_c[layer][p, low:high],
                gates[layer][p, low:high],
                h[layer][new, low:high, p * VL :],
                operand[layer][new, low:high, p * VL // 2 :],
            )
    for b in range(low, high):
        logits[b] = b_y
    add_product(h[len(start) - 1][new : new + 1, low:high], W_y, logits[low:high])


@ShardedKernel
def generate(
    start,
    W_x,
    W_h,
    h,
    operand,
    c,
    tanh_c,
    gates,
    W_y,
    b_y,
    logits,
    ids,
    uniforms,
    controls,
    drawn,
    s,
    shards,
):
    """Fill drawn (N, B) from uniforms (N, B); the first input is ids[0] (B).

    These have one entry per layer: start, W_x and W_h as packed; h (2, B, H), whose row 0 holds the initial state and
    whose row N % 2 receives the last; `operand`, the form of h that products read (see `recurrence.forward`); c and
    tanh_c (P, B, lanes); gates (P, B, 4 lanes). ids[1] holds zeros, the index into `start` for layers that read
    activations. `controls` is a `choice.SamplingState`.
    """
    N, B = drawn.shape
    low, high = s * B // shards, (s + 1) * B // shards
    for n in range(N):
        old, new = n % 2, 1 - n % 2
        _predict(start, W_x, W_h, h, operand, c, tanh_c, gates, W_y, b_y, logits, ids, old, new, low, high)
        for b in range(low, high):
            drawn[n, b] = choose(logits[b], uniforms[n, b], b, n, controls, s)
            ids[0, b] = drawn[n, b]
