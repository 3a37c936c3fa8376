"""`Model`, which people import: a network with its vocabulary, which writes text."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from .backends import registry
from .backends.protocol import Backend
from .errors import CorpusError
from .generation.text_probabilities import log_probabilities
from .generation.writing import generate, generate_many
from .network import parameters, weights_file
from .network.network import Network
from .network.weights_file import WeightsFile
from .settings.network import NetworkSettings
from .settings.sampling import SamplingSettings
from .text.vocab.base import Vocab


class Model(Network):
    """A network with its vocabulary, which writes text and tells how likely a text is.

        model = numlstm.load("weights.npz")
        print(model.generate("ROMEO:", length=200))

    `vocab` turns text into token ids and back, `config` holds the settings of the network. What it computes with ids,
    logits and gradients is in `Network`.
    """

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 250,
        temperature: float = 0.6,
        seed: int | None = None,
        **controls: Any,
    ) -> str:
        """Return `length` tokens of new text that goes on from `prompt`, which is not repeated.

            model.generate("Once ", length=200, temperature=0.8, top_p=0.9, stop="\\n\\n")

        Temperature 0 takes the likeliest token each time. Without `seed` the text is a new one each time. `controls`
        are further settings of `SamplingSettings`. The sign for unknown words is never written. Raises `CorpusError`
        for characters in the prompt that the vocabulary lacks and `ConfigError` for a setting out of range.
        """
        return "".join(self.stream(prompt, length=length, temperature=temperature, seed=seed, **controls))

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 250,
        temperature: float = 0.6,
        seed: int | None = None,
        **controls: Any,
    ) -> Iterator[str]:
        """Yield the text that `generate` returns in pieces, as they are written.

        for piece in model.stream("Once "):
            print(piece, end="", flush=True)
        """
        settings = SamplingSettings(length, temperature, _new_seed() if seed is None else seed, **controls)
        with self._known_alone():
            yield from generate(self, prompt, settings)

    def generate_many(
        self,
        prompts: Sequence[str],
        *,
        length: int = 250,
        temperature: float = 0.6,
        seed: int | None = None,
        **controls: Any,
    ) -> list[str]:
        """Return a text for each prompt, drawn side by side, which is faster than one after the other.

        The first is what `generate` returns for that seed, and no text depends on how many there are, apart from
        rounding; `[prompt] * n` gives n texts from one prompt. Raises as `generate` does.
        """
        settings = SamplingSettings(length, temperature, _new_seed() if seed is None else seed, **controls)
        with self._known_alone():
            return generate_many(self, prompts, settings)

    def score(self, text: str) -> float:
        """Return the mean loss on a text in nats per token, each predicted from all before it.

        The first token is predicted as a line's first. Raises `CorpusError` for a text that is empty or has characters
        that the vocabulary lacks.
        """
        nats = self.log_probabilities(text)
        if not nats.size:
            raise CorpusError("there is no text to score; expected at least one character")
        return -float(nats.mean())

    def log_probabilities(self, text: str | npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the log-probability in nats (N) of each token of a text, or of token ids (N), given all before it."""
        return log_probabilities(self, np.empty(0, np.int64), self._ids(text))

    def hidden_states(self, text: str | npt.ArrayLike, layer: int = -1) -> npt.NDArray[Any]:
        """Return what a layer's h (N, R) is after each token of a text, or of token ids (N); -1 is the last layer.

        R is the layer's number of units or, with a projection, its size. The text is read from a state of zeros.
        """
        ids = self._ids(text)
        return self.hidden(ids[:, None])[layer][:, 0]

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Save the model to write with, without what training needs; `Run.save` keeps that too.

        Raises `StorageError` if the file cannot be written, or is there already unless `overwrite`.
        """
        weights_file.check_output(os.fspath(path), overwrite=overwrite)
        flat = self.backend.to_numpy(self.flat)
        weights_file.save(os.fspath(path), WeightsFile(self.config, self.vocab, flat, {}, None))

    def _ids(self, text: str | npt.ArrayLike) -> npt.NDArray[np.int64]:
        return np.asarray(self.vocab.encode(text) if isinstance(text, str) else text, np.int64).reshape(-1)

    def __repr__(self) -> str:
        layers = ",".join(map(str, self.config.layers))
        symbols = f", {len(self.vocab):,} {self.vocab.unit}s" if self._vocab else ""
        size = parameters.count(self.config)
        return f"<numlstm model: layers {layers}{symbols}, {size:,} parameters, on {self.backend.name}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{name}</code></td><td>{' × '.join(map(str, shape))}</td></tr>"
            for name, shape in parameters.shapes(self.config).items()
        )
        return f"<p>{escape(repr(self).strip('<>'))}</p><table><tr><th>array</th><th>shape</th></tr>{rows}</table>"

    def __reduce__(self) -> tuple[Any, ...]:
        flat = self.backend.to_numpy(self.flat)
        return _again, (self.config, flat, self.backend.name, self._vocab, self.precision)

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


def _new_seed() -> int:
    return secrets.randbelow(2**31)


def _again(config: NetworkSettings, flat: npt.NDArray[Any], device: str, vocab: Vocab | None, precision: str) -> Model:
    """Make a pickled model again: on the device that it was on, or on whichever works here."""
    backend = registry.load(device if not registry.why_not(device) else "auto")
    return Model(config, flat, backend, vocab=vocab, precision=precision)


def load(path: str | os.PathLike[str], *, device: str = "auto") -> Model:
    """Load a model from a weights file, or one that ships by its name, with the best parameters of its training.

    `device` is "cpu", "gpu", "reference" or "auto": the GPU if it works, else the CPU.

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
