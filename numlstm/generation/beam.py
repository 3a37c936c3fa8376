"""Beam search (Graves 2012): find a likely text by extending the best candidates in parallel.

A text's log-probability is the sum over its tokens under the model, without sampling or temperature. It falls with each
token, so a text ended early by a stop is often likelier than a longer one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..network.network import Network
from ..settings.sampling import SamplingSettings
from .sequence import Text, Written
from .token_probabilities import log_softmax

Tokens = npt.NDArray[np.int32]


class Path(NamedTuple):
    """A candidate: its tokens, its log-probability in nats, and the batch row of the state before its last token."""

    ids: Tokens
    score: float
    parent: int


def search(model: Network, prompt: str, config: SamplingSettings, beams: int, *, drop_unknown: bool = False) -> Written:
    """Return the likeliest text found with `config.length` tokens, or fewer if a stop or a rule ends it.

    Keeps the `beams` likeliest candidates of each length. Of `config`, only the length, `stop`, `ban` and `initials`
    apply. Ties are broken by token order. Raises the same errors as `generate`.
    """
    nothing = np.empty(0, np.int32)
    start = _text(model, prompt, config, nothing, drop_unknown).start
    state, last = model.read(start[:-1, None], model.zero_state(1)), start[-1:]
    live, best = [Path(nothing, 0.0, 0)], None
    for _ in range(config.length):
        logits, state = model.logits(last[None], state)
        scores = log_softmax(logits[0]) + np.array([[path.score] for path in live])
        texts = [_text(model, prompt, config, path.ids, drop_unknown) for path in live] if _ruled(config) else []
        for row, text in enumerate(texts):
            scores[row] = np.where(text.permitted() if text.rules else True, scores[row], -np.inf)
        if texts and best is None and (scores == -np.inf).all():
            texts[0].allowed()  # raises the error that names the text
        after: list[Path] = []
        for path in _likeliest(live, scores):
            if texts and _text(model, prompt, config, path.ids, drop_unknown).finished:
                best = path if best is None else max(best, path, key=lambda each: each.score)
            else:
                after.append(path)
            if len(after) == beams:
                break
        live = after
        if not live or (best is not None and best.score >= live[0].score):
            break
        state, last = _chosen(model, state, [path.parent for path in live]), np.array([path.ids[-1] for path in live])
    found = max([*([best] if best else []), *live], key=lambda path: path.score)
    text = _text(model, prompt, config, found.ids, drop_unknown)
    if not text.finished:
        text.end()
    return text.written()


def _ruled(config: SamplingSettings) -> bool:
    return bool(config.stop or config.ban or config.initials)


def _text(model: Network, prompt: str, config: SamplingSettings, ids: Tokens, drop_unknown: bool) -> Text:
    """Return the text that consists of the prompt and `ids`."""
    text = Text(0, model.vocab, prompt, config, drop_unknown)
    text.take(ids)
    return text


def _likeliest(live: list[Path], scores: npt.NDArray[np.float64]) -> Iterator[Path]:
    """Yield the candidates (B) extended by one token (V), the likeliest first, given scores (B, V)."""
    flat = scores.ravel()
    for place in np.argsort(-flat, kind="stable"):
        parent, token = divmod(int(place), scores.shape[1])
        if flat[place] == -np.inf:
            return
        yield Path(np.append(live[parent].ids, np.int32(token)), float(flat[place]), parent)


def _chosen(model: Network, state: Any, parents: list[int]) -> Any:
    """Return the state rows of the candidates in `parents`."""
    to_numpy, asarray = model.backend.to_numpy, model.backend.asarray
    return [tuple(asarray(to_numpy(part)[parents]) for part in pair) for pair in state]
