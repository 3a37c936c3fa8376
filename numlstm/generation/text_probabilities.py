"""Log-probabilities of tokens under a network, by its own distribution: without temperature or other settings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..network.network import Network
from .token_probabilities import log_softmax

_WINDOW = 256  # tokens per call: bounds the memory for logits


def log_probabilities(model: Network, before: npt.ArrayLike, ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the log-probability in nats (N) of each of ids (N), given the ids `before` and those before it.

    Reads a line break first, as in generation, so `before` begins a line.
    """
    first, after = np.append(model.vocab.start_id, np.asarray(before, np.int64)), np.asarray(ids, np.int64)
    whole, state = np.concatenate([first, after]), model.zero_state(1)
    state = model.read(first[:-1, None], state)
    whole, found = whole[len(first) - 1 :], []
    for low in range(0, len(after), _WINDOW):
        read = whole[low : min(low + _WINDOW, len(after))]
        logits, state = model.logits(read[:, None], state)
        found.append(log_softmax(logits[:, 0])[np.arange(len(read)), whole[low + 1 : low + 1 + len(read)]])
    return np.concatenate([np.empty(0), *found])
