"""The public class `Model`: a network with its vocabulary, which generates text."""

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
from .settings.precision import rounding_of
from .settings.sampling import SamplingSettings, new_seed
from .text.vocab.base import Vocab

_NEVER = -1e30  # an output bias that keeps its token from being drawn


class Model(Network):
    """A network with its vocabulary, which generates text and scores it.

    >>> model = numlstm.load("shakespeare", device="reference")
    >>> model
    <numlstm model: layers 272,272, 65 characters, 978,449 parameters, on reference>

    `vocab` converts text to token ids and back; `config` holds the network's settings. Methods that work on ids, logits
    and gradients are inherited from `Network`.
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

        Tokens are characters, bytes or words, depending on the model. Temperature 0 always takes the likeliest token.
        Without `seed`, each call returns a new text. `controls` are the other settings of `SamplingSettings`. The
        unknown-word token is never drawn. Raises `CorpusError` if the prompt has characters that are not in the
        vocabulary, and `ConfigError` if a setting is out of range.
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
        """Yield the text that `generate` returns, in pieces as they are drawn.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> for piece in model.stream("ROMEO:", length=30, temperature=0):
        ...     print(piece, end="", flush=True)
        <BLANKLINE>
        I will be so the son of the s

        Raises the same errors as `generate`, before the first piece.
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
        """Return a continuation of each prompt, generated as one batch, which is faster than one after the other.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> model.generate_many(["ROMEO:", "JULIET:"], length=20, seed=7)
        ['\\nWhat is the horse c', '\\nAnd you shall not l']

        The first text is the one `generate` returns for that seed. Apart from rounding, no text depends on the number
        of texts. `[prompt] * n` gives n continuations of one prompt. Raises the same errors as `generate`.
        """
        settings = SamplingSettings(length, temperature, new_seed() if seed is None else seed, **controls)
        return generate_many(self.without_unknown(), prompts, settings)

    def score(self, text: str) -> float:
        """Return the mean loss on a text in nats per token, predicting each token from all tokens before it.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> round(model.score("To be, or not to be"), 2)
        1.32

        The first token is predicted as the start of a line. Raises `CorpusError` if the text is empty or has characters
        that are not in the vocabulary.
        """
        nats = self.log_probabilities(text)
        if not nats.size:
            raise CorpusError("the text to score is empty; expected at least one character")
        return -float(nats.mean())

    def log_probabilities(self, text: str | npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the log-probability in nats (N) of each token of a text, or of token ids (N), given those before it.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> model.log_probabilities("To be").round(2)
        array([-1.69, -1.43, -0.07, -2.49, -0.28])

        Raises `CorpusError` for characters, and `ConfigError` for ids, that are not in the vocabulary.
        """
        from .generation.text_probabilities import log_probabilities

        return log_probabilities(self, np.empty(0, np.int64), self._ids(text))

    def hidden_states(self, text: str | npt.ArrayLike, layer: int = -1) -> npt.NDArray[Any]:
        """Return a layer's h (N, R) after each token of a text, or of token ids (N); -1 is the last layer.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> model.hidden_states("To be").shape
        (5, 272)

        R is the layer's number of units or, with a projection, the projection size. The text is read from a zero state.
        Raises the same errors as `log_probabilities`.
        """
        ids = self._ids(text)
        return self.hidden(ids[:, None])[layer][:, 0]

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Save the model for generation, without training state; `Run.save` also saves what resuming needs.

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
        return _unpickle, (self.config, flat, self.backend.name, self._vocab, self.precision, self.rounding)

    def without_unknown(self) -> Model:
        """Return this model, or a copy that shares its parameters and never draws the unknown-word token.

        The copy is valid until the parameters change.
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


def _unpickle(
    config: NetworkSettings,
    flat: npt.NDArray[Any],
    device: str,
    vocab: Vocab | None,
    precision: str,
    rounding: str = "",
) -> Model:
    """Rebuild a pickled model on the device it was on, or on one that works here."""
    backend = registry.load(device if not registry.why_not(device) else "auto")
    return Model(config, flat, backend, vocab=vocab, precision=precision, rounding=rounding)


def load(path: str | os.PathLike[str], *, device: str = "auto", precision: str = "float32") -> Model:
    """Load a model, with its best parameters, from a weights file or by the name of a shipped model.

    >>> numlstm.load("shakespeare", device="reference").generate("ROMEO:", length=14, temperature=0)
    '\\nI will be so '

    `device` is "cpu", "gpu", "reference" or "auto": the GPU if it works, else the CPU. With `precision` "bf16" or
    "int8" the weights are rounded to 16 or 8 bits: a large model then writes faster on the CPU. What the loss becomes,
    `score` says. For the same seed and precision the text is the same for any number of threads.

    Raises `WeightsError` if the file cannot be read or is invalid, `BackendError` if the device does not work or does
    not support the precision, and `ConfigError` if there is no such precision.
    """
    rounding = rounding_of(precision)
    file = weights_file.load(path)
    backend = registry.load(device_for(device, precision))
    return Model(file.config, file.params, backend, vocab=file.vocab, rounding=rounding)


def device_for(device: str, precision: str) -> str:
    """Return `device`, but the CPU instead of "auto" if weights are rounded: the GPU reads only float32."""
    return "cpu" if device == "auto" and rounding_of(precision) else device


def generation_model(
    file: WeightsFile, backend: Backend, *, unknown: bool = False, precision: str = "float32"
) -> Model:
    """Return a weights file's model for generation, which draws the unknown-word token only if `unknown` is true.

    The NumPy backend generates in float64. Machines round differently, but in float64 the differences are too small to
    change the text of a seed.
    """
    config = dataclasses.replace(file.config, dtype="float64") if backend.name == "reference" else file.config
    flat, rounding = file.params.astype(config.dtype), rounding_of(precision)
    model = Model(config, flat, backend, vocab=file.vocab, rounding=rounding)
    return model if unknown else model.without_unknown()
