"""`Model`, which people import: a network with its vocabulary, which writes text."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from .backends import registry
from .backends.protocol import Backend
from .generation.writing import generate, generate_many
from .network import parameters, weights_file
from .network.network import Network
from .network.weights_file import WeightsFile
from .settings.sampling import SamplingSettings


class Model(Network):
    """A network that writes: see `Network` for what it computes."""

    def generate(
        self, prompt: str = "", *, length: int = 250, temperature: float = 0.6, seed: int = 0, **controls: Any
    ) -> str:
        """Return `length` characters of new text that goes on from `prompt`, which is not repeated.

        Temperature 0 takes the likeliest character each time; `controls` are further settings of `SamplingSettings`,
        such as `top_p=0.9` or `stop=["\\n\\n"]`. The sign for unknown words is never written. Raises `CorpusError` for
        characters in the prompt that the vocabulary lacks and `ConfigError` for a setting out of range.
        """
        with self._known_alone():
            return "".join(generate(self, prompt, SamplingSettings(length, temperature, seed, **controls)))

    def generate_many(
        self,
        prompts: Sequence[str],
        *,
        length: int = 250,
        temperature: float = 0.6,
        seed: int = 0,
        **controls: Any,
    ) -> list[str]:
        """Return a text for each prompt, drawn side by side, which is faster than one after the other.

        The first is what `generate` returns for that seed, and no text depends on how many there are, apart from
        rounding; `[prompt] * n` gives n texts from one prompt. Raises as `generate` does.
        """
        with self._known_alone():
            return generate_many(self, prompts, SamplingSettings(length, temperature, seed, **controls))

    @contextlib.contextmanager
    def _known_alone(self) -> Iterator[None]:
        """Make the sign for unknown words, if there is one, so unlikely in the block that it is never drawn."""
        unknown = None if self._vocab is None else self._vocab.unknown_id
        if unknown is None:
            yield
            return
        b = self.backend.asarray(self._views["output.b"])
        b[unknown] = -1e30
        output, self._output = self._output, self.backend.pack_dense(self._output_W, b)
        try:
            yield
        finally:
            self._output = output


def load(path: str | os.PathLike[str], *, device: str = "auto") -> Model:
    """Load a network from a weights file, with the best parameters that its training found.

    Raises `WeightsError` if the file cannot be read or trusted, `BackendError` if the device does not work.
    """
    file = weights_file.load(path)
    return Model(file.config, file.params, registry.load(device), vocab=file.vocab)


def writer(file: WeightsFile, backend: Backend, *, unknown: bool = False) -> Model:
    """Return the network of a weights file for writing: without the sign for unknown words, unless `unknown` wants it.

    By NumPy it writes in float64: each machine's rounds in its own way, then too little for a seed to tell.
    """
    config = dataclasses.replace(file.config, dtype="float64") if backend.name == "reference" else file.config
    flat = file.params.astype(config.dtype)
    if file.vocab.unknown_id is not None and not unknown:
        parameters.views(flat, config)["output.b"][file.vocab.unknown_id] = -1e30  # so unlikely that it is never drawn
    return Model(config, flat, backend, vocab=file.vocab)
