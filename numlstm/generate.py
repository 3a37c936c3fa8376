"""New text from a network, token by token, the state carried along; one text, or many side by side.

The network is whatever offers the methods of `Drawer`; random numbers come from NumPy's generator, seeded,
and are handed to the backend, so a seed means the same on every device. Knows nothing about files or layers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .config import SampleConfig
from .text.vocab import Decoder, Ids, Vocab

_PIECE_SECONDS = 0.02  # how long drawing one piece may take, so that text appears as it is made


class Drawer(Protocol):
    """What generation asks of a network. A state is h and c, each (B, H), of every layer."""

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

    Without a prompt the text starts as if after a line's end. Joined, the pieces are the text of `config.length`
    tokens; how they are cut depends on the machine's speed, what they say does not. Bytes that are no UTF-8 are lone
    surrogates, as Python's "surrogateescape" makes them. Raises `CorpusError`, before anything is drawn, if the prompt
    has characters that the vocabulary lacks.
    """
    ids = model.vocab.encode_prompt(prompt, drop_unknown=drop_unknown)
    drawn = _drawn(model, [_start(ids, model.vocab)], _generators(config.seed, 1), config)
    return _texts(drawn, model.vocab.decoder(after=ids))


def generate_many(
    model: Drawer, prompts: Sequence[str], config: SampleConfig, *, drop_unknown: bool = False
) -> list[str]:
    """Return a text for each prompt that goes on from it, all drawn side by side as one batch.

    Each has random numbers of its own, so that what it says does not depend on how many others there are, to
    rounding; the first is what `generate` yields. Raises `CorpusError` as that does.
    """
    if not prompts:
        return []
    ids = [model.vocab.encode_prompt(prompt, drop_unknown=drop_unknown) for prompt in prompts]
    starts = [_start(each, model.vocab) for each in ids]
    generators = _generators(config.seed, len(starts))
    order = sorted(range(len(starts)), key=lambda k: -len(starts[k]))
    drawn = _drawn(model, [starts[k] for k in order], [generators[k] for k in order], config)
    columns = np.concatenate([np.empty((0, len(order)), np.int32), *drawn]).T
    decoders = [model.vocab.decoder(after=each) for each in ids]
    texts = {k: "".join(_texts([column], decoders[k])) for k, column in zip(order, columns, strict=True)}
    return [texts[k] for k in range(len(starts))]


def _texts(drawn: Iterable[npt.NDArray[np.int32]], decoder: Decoder) -> Iterator[str]:
    for tokens in drawn:
        yield decoder.feed(tokens)
    yield decoder.end()


def _drawn(
    model: Drawer, prompts: list[Ids], generators: list[np.random.Generator], config: SampleConfig
) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the tokens (N, B) that follow B prompts, longest first and none empty, in pieces of some length N."""
    state = _read(model, [ids[:-1] for ids in prompts])
    last: npt.NDArray[Any] = np.array([ids[-1] for ids in prompts])
    left, size = config.length, 1
    while left:
        started = time.perf_counter()
        size = min(size, left)
        uniforms = np.stack([rng.random(size) for rng in generators], axis=1)
        drawn, state = model.draw(last, state, uniforms, config.temperature)
        yield drawn
        last, left = drawn[-1], left - size
        size = size * 2 if time.perf_counter() - started < _PIECE_SECONDS / 2 else max(1, size // 2)


def _read(model: Drawer, prompts: list[Ids]) -> Any:
    """Return the state after prompts, longest first, read side by side as far as the shortest, then without it ..."""
    state, read = model.zero_state(len(prompts)), 0
    for length in sorted({len(ids) for ids in prompts}):
        B = sum(len(ids) >= length for ids in prompts)
        ids = np.stack([each[read:length] for each in prompts[:B]], axis=1)
        after = model.read(ids, [(h[:B], c[:B]) for h, c in state])
        for (h, c), (new_h, new_c) in zip(state, after, strict=True):
            h[:B], c[:B] = new_h, new_c
        read = length
    return state


def _generators(seed: int, streams: int) -> list[np.random.Generator]:
    """Return a generator for each stream; the first is the one of that seed, whatever their number."""
    others = np.random.SeedSequence(seed).spawn(streams - 1)
    return [np.random.default_rng(each) for each in (seed, *others)]


def _start(ids: Ids, vocab: Vocab) -> Ids:
    """Return the ids of a prompt, or the one that stands for "nothing before this" where there is none."""
    return ids if len(ids) else np.array([vocab.start_id], vocab.id_dtype)
