"""Sampling a token from logits, as `spec/sampling.py` defines it, for one stream of a batch and without allocating.

The caller passes the logits and the uniform random numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..spec.sampling import Sampling
from . import processor
from .dense import exp_row
from .jit import kernel

Array = npt.NDArray[Any]


class SamplingState(NamedTuple):
    """The sampling settings of B streams (see `Sampling`) and scratch space for each shard.

    `plain (B)` is True for streams whose distribution depends on the temperature alone. `allowed` is (B, V) or (0, 0).
    `weights` and `keys` are (shards, V) in float64, `order (shards, V)` in int32, `sums (shards, 2, lanes)` in float64.
    `keys` and `order` are (shards, 0) if all streams are plain.
    """

    plain: Array
    temperature: Array
    top_k: Array
    top_p: Array
    min_p: Array
    penalty: Array
    recent: Array
    allowed: Array
    weights: Array
    sums: Array
    keys: Array
    order: Array


def controls(sampling: Sampling, V: int, shards: int) -> SamplingState:
    """Return the settings with scratch space for `shards` shards. Arrays that kernels write to are copies."""
    plain = sampling.plain()
    more = (shards, 0 if plain.all() else V)
    return SamplingState(
        plain=plain,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        penalty=sampling.penalty,
        recent=np.array(sampling.recent, order="C"),
        allowed=np.empty((0, 0), np.bool_) if sampling.allowed is None else sampling.allowed,
        weights=np.empty((shards, V)),
        sums=np.zeros((shards, 2, processor.lanes(8))),
        keys=np.empty(more),
        order=np.empty(more, np.int32),
    )


@kernel
def choose(logits, uniform, b, n, controls, s):
    """Return token n of stream b, sampled from its logits (V), and record it in `controls.recent`."""
    temperature, weights, sums = controls.temperature[b], controls.weights[s], controls.sums[s]
    if controls.plain[b]:
        token = _draw(logits, uniform, temperature, weights, sums)
    else:
        keys = controls.keys[s]
        best = _penalise_and_mask(logits, b, controls, keys)
        if temperature == 0.0:
            token = best
        else:
            token = _draw_restricted(keys, best, uniform, b, controls, weights, sums, controls.order[s])
    if controls.recent.shape[1]:
        controls.recent[b, n % controls.recent.shape[1]] = token
    return token


@kernel
def _draw(logits, uniform, temperature, weights, sums):
    """Return the token that `uniform` selects from softmax(logits / temperature); at temperature 0 the likeliest."""
    best = 0
    for v in range(logits.shape[0]):
        if logits[v] > logits[best]:
            best = v
    if temperature == 0.0:
        return best
    for v in range(logits.shape[0]):
        weights[v] = (np.float64(logits[v]) - np.float64(logits[best])) / temperature
    exp_row(weights, sums)
    total = 0.0
    for v in range(logits.shape[0]):
        total += weights[v]
        weights[v] = total
    threshold = uniform * total
    for v in range(logits.shape[0]):
        if weights[v] > threshold:
            return v
    return logits.shape[0] - 1


@kernel
def _penalise_and_mask(logits, b, controls, keys):
    """Set keys to the logits after the penalty, -infinity for disallowed tokens; return the likeliest token."""
    for v in range(logits.shape[0]):
        keys[v] = logits[v]
    r = controls.penalty[b]
    for token in controls.recent[b]:
        if token >= 0:
            x = np.float64(logits[token])  # not `keys[token]`: a token may be in `recent` twice
            keys[token] = x / r if x > 0 else x * r
    if controls.allowed.shape[0]:
        for v in range(logits.shape[0]):
            if not controls.allowed[b, v]:
                keys[v] = -np.inf
    best = 0
    for v in range(logits.shape[0]):
        if keys[v] > keys[best]:
            best = v
    return best


@kernel
def _draw_restricted(keys, best, uniform, b, controls, weights, sums, order):
    V = keys.shape[0]
    for v in range(V):
        weights[v] = (keys[v] - keys[best]) / controls.temperature[b]
    exp_row(weights, sums)
    top_k, top_p = controls.top_k[b], controls.top_p[b]
    if 0 < top_k < V or top_p < 1.0:
        _keep_likeliest(keys, weights, order, top_k if 0 < top_k < V else V, top_p)
    least = controls.min_p[b] * weights[best]
    total = 0.0
    for v in range(V):
        if weights[v] < least:
            weights[v] = 0.0
        total += weights[v]
    threshold = uniform * total
    reached, token = 0.0, best
    for v in range(V):
        if weights[v] > 0.0:
            reached += weights[v]
            token = v  # the last candidate is the result if the threshold rounds to the total
            if reached > threshold:
                return v
    return token


@kernel
def _keep_likeliest(keys, weights, order, count, share):
    """Zero all weights but those of the `count` largest keys; of these keep the fewest that reach `share` of their sum.

    `order` becomes a heap of ids, the likeliest on top. The top is moved behind the heap until enough tokens are there,
    so no more are sorted than are kept.
    """
    V = keys.shape[0]
    for v in range(V):
        order[v] = v
    for root in range(V // 2 - 1, -1, -1):
        _sink(keys, order, root, V)
    size, total = V, 0.0
    if count < V:
        for _ in range(count):
            size -= 1
            _take_top(keys, order, size)
            total += weights[order[size]]
    else:
        for v in range(V):
            total += weights[v]
    end = V - count
    if share < 1.0:
        end, reached = V, 0.0
        while end > V - count and (end == V or reached < share * total):
            if end == size:
                size -= 1
                _take_top(keys, order, size)
            end -= 1
            reached += weights[order[end]]
    for place in range(end):
        weights[order[place]] = 0.0


@kernel
def _take_top(keys, order, last):
    """Swap the top of the heap order[: last + 1] with its last entry and restore the heap in order[:last]."""
    order[0], order[last] = order[last], order[0]
    _sink(keys, order, 0, last)


@kernel
def _sink(keys, order, root, size):
    """Move the entry at `root` down the heap order[:size] until no child is likelier."""
    token = order[root]
    while 2 * root + 1 < size:
        child = 2 * root + 1
        if child + 1 < size and _likelier(keys, order[child + 1], order[child]):
            child += 1
        if not _likelier(keys, order[child], token):
            break
        order[root] = order[child]
        root = child
    order[root] = token


@kernel
def _likelier(keys, a, b):
    return keys[a] > keys[b] or (keys[a] == keys[b] and a < b)
