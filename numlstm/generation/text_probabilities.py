"""How likely a network holds tokens to be that follow others: its own distribution, whatever they were drawn by.

Knows nothing about how texts are drawn or files.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..network.network import Network
from .token_probabilities import log_softmax

_WINDOW = 256  # tokens whose logits are held at a time


def log_probabilities(model: Network, before: npt.ArrayLike, ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the log-probability in nats of each of ids (N), read after the ids `before`.

    All of it is read as a line begins: after a line's end, as texts are written.
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
