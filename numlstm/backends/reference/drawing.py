"""Draw tokens in NumPy: the rules of `spec/sampling.py`, one function each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..spec.sampling import Sampling
from .lstm import Layer, Weights, dense_forward, embed, step

Array = npt.NDArray[Any]


def generate(
    layers: Sequence[Layer],
    output: Weights,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: npt.NDArray[np.float64],
    sampling: Sampling,
    embedding: Any = None,
    rounded: Any = None,
) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
    drawn = np.empty(uniforms.shape, np.int32)
    carried, plain, recent = list(state), bool(sampling.plain().all()), sampling.recent
    for n, uniform in enumerate(uniforms):
        x = np.asarray(ids)
        if embedding is not None:
            x = embed(x, embedding)
        for layer, (weights, (h, c)) in enumerate(zip(layers, carried, strict=True)):
            done = step(x, weights, h, c)
            x, carried[layer] = done.h, (done.h, done.c)
        logits = dense_forward(x, output).astype(np.float64)
        if not plain:
            logits = penalise_and_mask(logits, sampling._replace(recent=recent))
        weights_left = temperature_weights(logits, sampling.temperature)
        if not plain:
            weights_left = truncate_weights(weights_left, logits, sampling)
        ids = drawn[n] = sample_tokens(weights_left, uniform)
        if recent.size:
            recent = np.concatenate([recent[:, 1:], ids[:, None]], axis=1)
    return drawn, carried


def draw(logits: Array, uniform: npt.NDArray[np.float64], sampling: Sampling) -> npt.NDArray[np.int32]:
    """Draw one token for each row of logits (B, V) with `uniform (B)`; `spec/sampling.py` defines the distribution."""
    x = penalise_and_mask(logits.astype(np.float64), sampling)
    return sample_tokens(truncate_weights(temperature_weights(x, sampling.temperature), x, sampling), uniform)


def penalise_and_mask(x: Array, sampling: Sampling) -> Array:
    """Return the logits (B, V) after the penalty, -infinity for tokens that are not allowed."""
    x = x.copy()
    for row, r, recent in zip(x, sampling.penalty, sampling.recent, strict=True):
        seen = np.unique(recent[recent >= 0])
        row[seen] = np.where(row[seen] > 0, row[seen] / r, row[seen] * r)
    return x if sampling.allowed is None else np.where(sampling.allowed, x, -np.inf)


def temperature_weights(x: Array, temperature: Array) -> Array:
    """Return the weights (B, V): exp((x - max) / temperature), which is at most 1 and cannot overflow.

    At temperature 0 the likeliest token has weight 1, all others 0.
    """
    shifted = x - x.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        weights = np.exp(shifted / np.where(temperature > 0, temperature, 1.0)[:, None])
    cold = np.flatnonzero(temperature == 0)
    weights[cold] = np.arange(x.shape[1]) == x[cold].argmax(axis=1)[:, None]
    return np.asarray(weights)


def truncate_weights(weights: Array, x: Array, sampling: Sampling) -> Array:
    """Return the weights (B, V) after top-k, then top-p, then min-p: 0 for the tokens they drop."""
    left = np.zeros_like(weights)
    for b, (k, p, m) in enumerate(zip(sampling.top_k, sampling.top_p, sampling.min_p, strict=True)):
        order = np.argsort(-x[b], kind="stable")  # likeliest first; of equals, the lower id first
        if k:
            order = order[:k]
        if p < 1:
            reached = np.cumsum(weights[b, order])
            order = order[: 1 + np.searchsorted(reached, p * reached[-1])]
        order = order[weights[b, order] >= m * weights[b, order[0]]]
        left[b, order] = weights[b, order]
    return left


def sample_tokens(weights: Array, uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return the first token of each row of weights (B, V) whose running sum exceeds `uniform (B)` times the total."""
    sums = np.cumsum(weights, axis=1)
    passed_over = (sums <= uniform[:, None] * sums[:, -1:]).sum(axis=1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)  # a number close to 1 may round to the total
    return np.asarray(np.minimum(passed_over, last), np.int32)
