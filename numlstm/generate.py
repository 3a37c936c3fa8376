"""New text from a network, character by character, the state carried along.

The network is whatever offers the methods of `Drawer`; random numbers come from NumPy's generator, seeded,
and are handed to the backend, so a seed means the same on every device. Knows nothing about files or layers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .config import SampleConfig
from .text.vocab import Ids, Vocab

_PIECE_SECONDS = 0.02  # how long drawing one piece may take, so that text appears as it is made


class Drawer(Protocol):
    """What generation asks of a network; `state` is opaque."""

    @property
    def vocab(self) -> Vocab: ...

    def zero_state(self, batch_size: int) -> Any:
        """Return the state that nothing has been read into."""

    def read(self, ids: npt.NDArray[Any], state: Any) -> Any:
        """Read ids (T, B) and return the state after them."""

    def draw(
        self, ids: npt.NDArray[Any], state: Any, uniforms: npt.NDArray[np.float64], temperature: float
    ) -> tuple[npt.NDArray[np.int32], Any]:
        """Read ids (B), then draw uniforms.shape (N, B) tokens one after the other; return them and the state."""


def generate(model: Drawer, prompt: str, config: SampleConfig, *, drop_unknown: bool = False) -> Iterator[str]:
    """Yield new text that goes on from `prompt`, in pieces, as soon as each is drawn.

    Without a prompt the text starts as if after a line's end. Joined, the pieces have `config.length`
    characters; how they are cut depends on the machine's speed, what they say does not. Raises `CorpusError`,
    before anything is drawn, if the prompt has characters that the vocabulary lacks.
    """
    ids = model.vocab.encode(prompt, drop_unknown=drop_unknown)
    return _pieces(model, ids if len(ids) else _line_end(model.vocab), config)


def _pieces(model: Drawer, ids: Ids, config: SampleConfig) -> Iterator[str]:
    state = model.read(ids[:-1, None], model.zero_state(1))
    rng, last = np.random.default_rng(config.seed), ids[-1:]
    left, size = config.length, 1
    while left:
        started = time.perf_counter()
        size = min(size, left)
        drawn, state = model.draw(last, state, rng.random((size, 1)), config.temperature)
        yield model.vocab.decode(drawn[:, 0])
        last, left = drawn[-1], left - size
        size = size * 2 if time.perf_counter() - started < _PIECE_SECONDS / 2 else max(1, size // 2)


def _line_end(vocab: Vocab) -> Ids:
    """Return the id that stands for "nothing before this": a line's end, else the first symbol."""
    place = max(vocab.symbols.find("\n"), 0)
    return np.array([place], vocab.id_dtype)
