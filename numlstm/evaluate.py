"""The loss of a network on a text, the state carried from the first token to the last.

Knows nothing about training or files.
"""

from __future__ import annotations

import numpy as np

from .model import Model, State, Tapes
from .text.batches import AnyIds

_WINDOW = 64  # tokens a call; the result does not depend on it
_CONTEXT = 256  # tokens that a stream reads first, so that its state is what the text before would have left
_SHORTEST = 1024  # tokens a stream must have to be worth a context of its own


def evaluate(model: Model, ids: AnyIds, *, streams: int = 1) -> float:
    """Return the mean loss in nats per token over the N - 1 tokens that follow another in `ids (N,)`.

    With one stream the state is carried over the whole text. More streams cut it into as many parts, read side by side
    and so faster; each first reads the 256 tokens before its part, which leaves the loss the same to about
    a thousandth. Returns NaN for fewer than two ids.
    """
    N = len(ids) - 1
    if N < 1:
        return float("nan")
    streams = max(1, min(streams, N // _SHORTEST))
    length = N // streams
    state = model.zero_state(streams)
    if streams > 1:
        starts = np.arange(streams) * length
        context = np.stack([ids[max(0, s - _CONTEXT) : s] if s else ids[:_CONTEXT] for s in starts], axis=1)
        state = model.read(context, state)
        for h, c in state:
            h[0], c[0] = 0, 0  # nothing comes before the first part
    inputs = np.stack([ids[n * length : (n + 1) * length] for n in range(streams)], axis=1)
    targets = np.stack([ids[n * length + 1 : (n + 1) * length + 1] for n in range(streams)], axis=1)
    total, state = _total(model, inputs, targets, state)
    rest = slice(streams * length, N)
    last = [(h[-1:], c[-1:]) for h, c in state]
    more, _ = _total(model, ids[rest, None], ids[streams * length + 1 :, None], last)
    return (total + more) / N


def _total(model: Model, inputs: AnyIds, targets: AnyIds, state: State) -> tuple[float, State]:
    """Return the summed loss over inputs (T, B) and the state after."""
    total = 0.0
    tapes: Tapes = {}
    for first in range(0, len(inputs), _WINDOW):
        x, y = inputs[first : first + _WINDOW], targets[first : first + _WINDOW]
        loss, state = model.loss(x, y, state, tapes=tapes)
        total += loss * x.size
    return total, state
