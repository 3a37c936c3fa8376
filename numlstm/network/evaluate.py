"""Evaluate a network's loss on a text: with the state carried from start to end, or on windows from a zero state."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError, CorpusError
from ..text.dataset.memory_map import release
from ..text.dataset.streams import AnyIds
from .network import Network, State, Tapes

_HELD = 2**14  # tokens a stream reads before it releases the memory of mapped ids
_WINDOW = 64  # tokens per call; does not affect the result
_CONTEXT = 256  # warm-up tokens a stream reads, so that it starts with nearly the state the text before would leave
_UNREAD = 64  # losses left on the device before they are fetched: fetching waits for the device
_SHORTEST = 1024  # minimum tokens for a stream to be worth its warm-up
_COLD_BATCH = 64  # windows per batch
_COLD_MOST = 200 * _COLD_BATCH  # maximum number of windows, the number nanoGPT's character model is evaluated on
_COLD_COVER = 4  # how many times the windows cover the text, up to that maximum


def evaluate(model: Network, ids: AnyIds, *, streams: int = 1) -> float:
    """Return the mean loss in nats per token over the last N - 1 tokens of `ids (N,)`.

    With one stream the state is carried over the whole text. With more, the text is split into that many parts, read
    as one batch, which is faster. Each stream first reads the 256 tokens before its part; this changes the loss by
    about a thousandth. Returns NaN for fewer than two ids.
    """
    N = len(ids) - 1
    return losses(model, ids, [len(ids)], streams=streams)[0] / N if N > 0 else float("nan")


def losses(model: Network, ids: AnyIds, ends: Sequence[int], *, streams: int = 1) -> list[float]:
    """Return the summed loss in nats of each part of `ids (N,)`; part n ends before index `ends[n]`.

    The state is carried from part to part. Each token counts towards its own part; the first of all is not predicted.
    `streams` is as in `evaluate`, for each part.
    """
    found, state, first = [], model.zero_state(1), 1
    for end in ends:
        total = 0.0
        if end > first:
            total, state = _part(model, ids, first, end, state, streams)
            first = end
        found.append(total)
    return found


def _part(model: Network, ids: AnyIds, first: int, end: int, state: State, streams: int) -> tuple[float, State]:
    """Return the summed loss over tokens `first` to `end - 1`, and the state (one stream) after them."""
    N = end - first
    streams = max(1, min(streams, N // _SHORTEST))
    length = N // streams
    starts = [first - 1 + n * length for n in range(streams)]  # index of each stream's first input token
    if streams > 1:
        # The first stream's warm-up is discarded below: it continues from `state`.
        context = np.stack([ids[max(0, at - _CONTEXT) : at] if n else ids[:_CONTEXT] for n, at in enumerate(starts)], 1)
        side_by_side = model.read(context, model.zero_state(streams))
        for (h, c), (h0, c0) in zip(side_by_side, state, strict=True):
            h[0], c[0] = h0[0], c0[0]
        state = side_by_side
    total, state = _total(model, ids, starts, length, state)
    last = [(h[-1:], c[-1:]) for h, c in state]
    more, last = _total(model, ids, [starts[0] + streams * length], N - streams * length, last)
    return total + more, last


def _total(model: Network, ids: AnyIds, starts: Sequence[int], length: int, state: State) -> tuple[float, State]:
    """Return the summed loss of streams that each read `length` tokens from their start, and the final state."""
    total, unread = 0.0, []
    tapes: Tapes = {}
    for first in range(0, length, _WINDOW):
        size = min(_WINDOW, length - first)
        x, y = (np.stack([ids[at + first + k : at + first + k + size] for at in starts], axis=1) for k in (0, 1))
        loss, state = model.loss(x, y, state, tapes=tapes)
        unread.append((loss, x.size))
        if len(unread) == _UNREAD or first + size == length:
            for loss, tokens in unread:
                total += float(loss) * tokens
            unread = []
        if first // _HELD != (first + size) // _HELD:
            release(ids)
    return total, state


@dataclasses.dataclass(frozen=True)
class WindowLoss:
    """The mean loss in nats per token over `windows` random windows, and its standard error due to sampling them."""

    nats: float
    standard_error: float
    windows: int


def evaluate_windows(model: Network, ids: AnyIds, length: int, *, seed: int = 0) -> WindowLoss:
    """Return the mean loss over all positions of random windows of `length` tokens, each read from a zero state.

    nanoGPT estimates its losses this way: a token has at most `length` tokens of context, on average half of that.
    Window starts are drawn uniformly from `seed`; windows may overlap. Uses enough windows to cover the text four
    times, in full batches of 64, at least 2 and at most 200 batches. Raises `ConfigError` if `length` is below 1 or
    `seed` is negative, and `CorpusError` if the text is no longer than a window.
    """
    if length < 1:
        raise ConfigError(f"the window length is {length}; expected at least 1")
    if seed < 0:
        raise ConfigError(f"the seed is {seed}; expected a whole number from 0")
    if len(ids) <= length:
        raise CorpusError(
            f"the text has {len(ids)} tokens; expected more than the window length, {length}: use more text or shorter "
            "windows"
        )
    windows = min(_COLD_COVER * math.ceil(len(ids) / length), _COLD_MOST)
    batches = max(2, math.ceil(windows / _COLD_BATCH))
    starts = np.random.default_rng(seed).integers(0, len(ids) - length, (batches, _COLD_BATCH))
    size = _COLD_BATCH * length
    means = [_total(model, ids, batch, length, model.zero_state(_COLD_BATCH))[0] / size for batch in starts.tolist()]
    error = float(np.std(means, ddof=1)) / math.sqrt(batches)
    return WindowLoss(float(np.mean(means)), error, batches * _COLD_BATCH)
