"""`Model`, which people import: a network with its vocabulary, which writes text."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .backends import registry
from .backends.protocol import Backend
from .errors import CorpusError
from .generation.writing import generate, generate_many
from .network import parameters, weights_file
from .network.network import Network
from .network.weights_file import WeightsFile
from .settings.network import NetworkSettings
from .settings.sampling import SamplingSettings, new_seed
from .text.vocab.base import Vocab

_NEVER = -1e30  # an output's bias with which its token is never drawn


class Model(Network):
    """A network with its vocabulary, which writes text and tells how likely a text is.

    >>> model = numlstm.load("shakespeare", device="reference")
    >>> model
    <numlstm model: layers 272,272, 65 characters, 978,449 parameters, on reference>

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
        """Return new text of at most `length` tokens that continues `prompt`, without the prompt.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> model.generate("ROMEO:", length=30, temperature=0)
        '\\nI will be so the son of the s'
        >>> new_each_time = model.generate("ROMEO:", length=30, top_p=0.9, stop=("\\n\\n",))

        Tokens are characters, bytes or words, as the model has them. Temperature 0 takes the likeliest token each time.
        Without `seed` each call writes a new text. `controls` are the other settings of `SamplingSettings`. The sign
        for unknown words is never written. Raises `CorpusError` for characters in the prompt that the vocabulary lacks
        and `ConfigError` for a setting out of range.
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

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> for piece in model.stream("ROMEO:", length=30, temperature=0):
        ...     print(piece, end="", flush=True)
        <BLANKLINE>
        I will be so the son of the s

        Raises as `generate` does, before the first piece.
        """
        settings = SamplingSettings(length, temperature, new_seed() if seed is None else seed, **controls)
        return generate(self.without_unknown(), prompt, settings)

    def generate_many(
        self,
        prompts: Sequence[str],
        *,
        length: int = 250,
        temperature: float = 0.6,
        seed: int | None = None,
        **controls: Any,
    ) -> list[str]:
        """Return a text for each prompt, all written side by side, which is faster than one after the other.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> model.generate_many(["ROMEO:", "JULIET:"], length=20, seed=7)
        ['\\nWhat is the horse c', '\\nAnd you shall not l']

        The first is what `generate` returns for that seed, and no text depends on how many there are, apart from
        rounding; `[prompt] * n` gives n texts from one prompt. Raises as `generate` does.
        """
        settings = SamplingSettings(length, temperature, new_seed() if seed is None else seed, **controls)
        return generate_many(self.without_unknown(), prompts, settings)

    def score(self, text: str) -> float:
        """Return the mean loss on a text in nats per token, each token predicted from all before it.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> round(model.score("To be, or not to be"), 2)
        1.32

        The first token is predicted as a line's first. Raises `CorpusError` for a text that is empty or has characters
        that the vocabulary lacks.
        """
        nats = self.log_probabilities(text)
        if not nats.size:
            raise CorpusError("there is no text to score; expected at least one character")
        return -float(nats.mean())

    def log_probabilities(self, text: str | npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the log-probability in nats (N) of each token of a text, or of token ids (N), given all before it.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> model.log_probabilities("To be").round(2)
        array([-1.69, -1.43, -0.07, -2.49, -0.28])

        Raises `CorpusError` for characters that the vocabulary lacks and `ConfigError` for ids outside it.
        """
        from .generation.text_probabilities import log_probabilities

        return log_probabilities(self, np.empty(0, np.int64), self._ids(text))

    def hidden_states(self, text: str | npt.ArrayLike, layer: int = -1) -> npt.NDArray[Any]:
        """Return what a layer's h (N, R) is after each token of a text, or of token ids (N); -1 is the last layer.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> model.hidden_states("To be").shape
        (5, 272)

        R is the layer's number of units or, with a projection, its size. The text is read from a state of zeros. Raises
        as `log_probabilities` does.
        """
        ids = self._ids(text)
        return self.hidden(ids[:, None])[layer][:, 0]

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Save the model to write with, without what training needs to continue: `Run.save` keeps that too.

        >>> numlstm.load("shakespeare", device="reference").save("mine.npz")

        Raises `StorageError` if the file cannot be written, or if it exists and `overwrite` is False.
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
        from html import escape

        rows = "".join(
            f"<tr><td><code>{name}</code></td><td>{' × '.join(map(str, shape))}</td></tr>"
            for name, shape in parameters.shapes(self.config).items()
        )
        return f"<p>{escape(repr(self).strip('<>'))}</p><table><tr><th>array</th><th>shape</th></tr>{rows}</table>"

    def __reduce__(self) -> tuple[Any, ...]:
        flat = self.backend.to_numpy(self.flat)
        return _again, (self.config, flat, self.backend.name, self._vocab, self.precision)

    def without_unknown(self) -> Model:
        """Return this model, or one with the same parameters that never writes the sign for unknown words.

        It lasts until the parameters change.
        """
        unknown = None if self._vocab is None else self._vocab.unknown_id
        if unknown is None:
            return self
        b = self.backend.asarray(self._views["output.b"])
        b[unknown] = _NEVER
        other = Model.__new__(Model)
        other.__dict__.update(self.__dict__)
        other._output = self.backend.pack_dense(self._output_W, b)
        return other


def _again(config: NetworkSettings, flat: npt.NDArray[Any], device: str, vocab: Vocab | None, precision: str) -> Model:
    """Make a pickled model again: on the device that it was on, or on whichever works here."""
    backend = registry.load(device if not registry.why_not(device) else "auto")
    return Model(config, flat, backend, vocab=vocab, precision=precision)


def load(path: str | os.PathLike[str], *, device: str = "auto") -> Model:
    """Load a model from a weights file, or one that ships by its name, with the best parameters of its training.

    >>> numlstm.load("shakespeare", device="reference").generate("ROMEO:", length=14, temperature=0)
    '\\nI will be so '

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
    model = Model(config, file.params.astype(config.dtype), backend, vocab=file.vocab)
    return model if unknown else model.without_unknown()
