"""A network: token ids in, logits out, and gradients back through all of its layers.

NOTATION, used throughout the package. `x` input, `h` hidden, `c` cell; gates always in the order `i f g o`. Shape
letters: T time, B batch, D input size, H hidden size, V vocabulary size, L layers, P parameters;
time-major, (T, B, ...). `W_x (D, 4H)`, `W_h (H, 4H)`, `b (4H)`; the output has `W (H, V)`, `b (V)`. With a projection,
h has R entries and R replaces H except in 4H. `d` + name is the gradient of the loss with respect to that name.
Losses are mean nats per token.

In terms of `torch.nn.LSTM`: weight_ih is W_x.T, weight_hh is W_h.T, and bias_ih + bias_hh is b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..backends import registry
from ..backends.protocol import Array, Backend, Number
from ..backends.spec import sampling
from ..backends.spec.dropout import Dropout
from ..backends.spec.sampling import Draws, Sampling
from ..backends.spec.variant import Variant
from ..errors import ConfigError, CorpusError
from ..settings.network import NetworkSettings
from ..settings.precision import check_precision
from ..text.vocab.base import Vocab
from . import parameters

State = list[tuple[Array, Array]]  # h (B, R) and c (B, H) of every layer
# By (T, B): the tape of each layer, then the embedding and each layer's h after dropout.
Tapes = dict[tuple[int, int], list[Any]]

NO_DROPOUT = Dropout()

_N = TypeVar("_N", bound="Network")


class Network:
    """A network of stacked LSTM layers and a dense output, on one device.

    `flat (P,)` holds all parameters and `grads (P,)` the gradients of the last `gradients_` call, both on the device.
    After writing to `flat`, call `pack` before using the network again. `precision` is the precision of the LSTM
    layers' matrix products, "float32" or "bf16" (see `settings.precision`); stored arrays keep the parameters' dtype.
    `rounding`, "bf16" or "int8", rounds the weights (see `parameters.rounded`), and `draw` reads them in that form.
    """

    def __init__(
        self,
        config: NetworkSettings,
        flat: npt.NDArray[Any],
        backend: Backend,
        *,
        vocab: Vocab | None = None,
        precision: str = "float32",
        rounding: str = "",
    ) -> None:
        check_precision(precision, config.dtype)
        if vocab is not None and len(vocab) != config.vocab_size:
            raise ConfigError(f"vocab_size is {config.vocab_size}, but the vocabulary has {len(vocab)} symbols")
        self.config, self.backend, self._vocab, self.precision = config, backend, vocab, precision
        self.rounding = rounding
        self.flat = backend.asarray(parameters.rounded(flat, config, rounding), config.dtype)
        self.grads = backend.zeros(parameters.count(config), config.dtype)
        self._views = parameters.views(self.flat, config)
        self._grad_views = parameters.views(self.grads, config)
        self._layers: list[Any] = [None] * len(config.layers)
        self._output: Any = None
        self._rounded: Any = None
        self._tapes: Tapes = {}
        self._embedding = self._views.get("embedding.W")
        # The output weights and their gradient. Tied weights are a transposed copy of the embedding's.
        tied = (config.embedding, config.vocab_size) if config.tie_weights else 0
        self._output_W: Array = self._views.get("output.W", backend.zeros(tied, config.dtype))
        self._output_dW: Array = self._grad_views.get("output.W", backend.zeros(tied, config.dtype))
        self.pack()

    @classmethod
    def create(
        cls: type[_N],
        vocab_size: int,
        layers: Sequence[int] = (128, 128),
        *,
        seed: int = 0,
        device: str = "auto",
        dtype: str = "float32",
        vocab: Vocab | None = None,
        precision: str = "float32",
        **options: Any,
    ) -> _N:
        """Create a network with parameters drawn from `seed`; `options` are other settings of `NetworkSettings`.

        >>> numlstm.Model.create(vocab_size=65, layers=(128, 128), seed=0, device="reference")
        <numlstm model: layers 128,128, 239,297 parameters, on reference>

        Raises `ConfigError` if a setting is out of range, and `BackendError` if the device does not work or does not
        support `precision`.
        """
        config = NetworkSettings(vocab_size, tuple(layers), dtype, **options)
        return cls(config, parameters.initialise(config, seed), registry.load(device), vocab=vocab, precision=precision)

    @property
    def vocab(self) -> Vocab:
        """The vocabulary. Raises `CorpusError` if the network was created without one."""
        if self._vocab is None:
            raise CorpusError("this model has no vocabulary; expected one to convert ids to text: pass vocab=")
        return self._vocab

    @property
    def reads_rounded(self) -> bool:
        """True if `draw` reads weights in the form that `rounding` names, not the same numbers as float32."""
        return self._rounded is not None

    @property
    def params(self) -> dict[str, npt.NDArray[Any]]:
        """Copies of the parameters as NumPy arrays by name."""
        return {name: self.backend.to_numpy(view) for name, view in self._views.items()}

    def set_params(self, named: Mapping[str, npt.ArrayLike]) -> None:
        """Replace all parameters. Raises `ConfigError` if names or shapes do not match."""
        flat = parameters.rounded(parameters.flatten(named, self.config), self.config, self.rounding)
        self.flat[...] = self.backend.asarray(flat)
        self.pack()

    @property
    def packed(self) -> list[Any]:
        """The packed weights of all layers and the output, which `Backend.adam_` repacks while it updates them.

        Empty for networks with an embedding, a projection or layer norm: call `pack` after updating those.
        """
        c = self.config
        return [] if c.embedding or c.projection or c.layer_norm else [*self._layers, self._output]

    def pack(self) -> None:
        """Repack the weights for the backend after the parameters have changed."""
        w, precision = self._views, "" if self.precision == "float32" else self.precision
        for n, packed in enumerate(self._layers):
            W_x, W_h, b = (w[f"lstm.{n}.{name}"] for name in ("W_x", "W_h", "b"))
            self._layers[n] = self.backend.pack_lstm(
                W_x,
                W_h,
                b,
                tokens=n == 0 and self._embedding is None,
                precision=precision,
                variant=self._variant(w, n),
                packed=packed,
            )
        if self.config.tie_weights:
            self._output_W[...] = w["embedding.W"].T
        self._output = self.backend.pack_dense(self._output_W, w["output.b"], precision=precision, packed=self._output)
        if self.rounding:
            self._rounded = self.backend.pack_rounded(self._layers, self._output, self.rounding)

    def _variant(self, of: Mapping[str, Array], layer: int) -> Variant:
        """Return a layer's additions to the plain LSTM, as parameters or as gradients depending on `of`."""
        W_p, gain, c_gain, c_bias = (of.get(f"lstm.{layer}.{name}") for name in ("W_p", "gain", "c_gain", "c_bias"))
        return Variant(W_p, gain, c_gain, c_bias, self.config.gate_activation == "hard-sigmoid")

    def zero_state(self, batch_size: int) -> State:
        """Return a zero state: h (B, R) and c (B, H) of every layer."""
        zeros, dtype = self.backend.zeros, self.config.dtype
        return [(zeros(h, dtype), zeros(c, dtype)) for h, c in self._state_shapes(batch_size)]

    def _state_shapes(self, B: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        return [((B, R), (B, H)) for R, H in zip(self.config.state_sizes, self.config.layers, strict=True)]

    def loss_and_gradients(
        self, ids: npt.ArrayLike, targets: npt.ArrayLike, state: State | None = None, *, dropout: Dropout = NO_DROPOUT
    ) -> tuple[float, dict[str, npt.NDArray[Any]], State]:
        """Return the mean loss in nats per token, its gradient by parameter name, and the state after the last step.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> ids = model.vocab.encode("To be, or not to be")
        >>> loss, gradients, state = model.loss_and_gradients(ids[:-1], ids[1:])
        >>> round(loss, 2), gradients["lstm.0.W_h"].shape
        (1.49, (272, 1088))

        `ids` and `targets` are integers (T, B), or (T) for one text. `state` comes from an earlier call (None: zeros);
        no gradient flows through it. `dropout` sets what this step drops. Raises `ConfigError` if ids are outside the
        vocabulary or shapes do not match.
        """
        loss, after = self.gradients_(*self._checked_pair(ids, targets), state, dropout=dropout)
        return float(loss), {name: self.backend.to_numpy(view) for name, view in self._grad_views.items()}, after

    def gradients_(
        self,
        x: Array,
        y: Array,
        state: State | None = None,
        *,
        dropout: Dropout = NO_DROPOUT,
        loss_scale: Array = None,
    ) -> tuple[Number, State]:
        """Like `loss_and_gradients`, for ids and targets (T, B) already on the device and without checks.

        Writes the gradients to `grads`, multiplied by the first entry of `loss_scale` if given. Does not wait for the
        device.
        """
        h, after = self._forward(x, state, self._tapes, dropout)
        loss, dlogits = self._loss(h, y, loss_scale)
        self.grads[...] = 0
        g = self._grad_views
        if self.config.tie_weights:
            self._output_dW[...] = 0
        dh: Array = self.backend.dense_backward(dlogits, _rows(h), self._output, self._output_dW, g["output.b"])
        dh = dh.reshape(h.shape)
        for n in reversed(range(len(self._layers))):
            if mask := dropout.between(n):
                dh = self.backend.dropout(dh, mask, out=dh)
            tape = self._tapes[x.shape][n]
            dW_x, dW_h, db = (g[f"lstm.{n}.{name}"] for name in ("W_x", "W_h", "b"))
            dh, _, _ = self.backend.lstm_backward(dh, self._layers[n], tape, dW_x, dW_h, db, self._variant(g, n))
        if self._embedding is not None:
            if mask := dropout.between(-1):
                dh = self.backend.dropout(dh, mask, out=dh)
            self.backend.embed_backward(dh, x, g["embedding.W"])
        if self.config.tie_weights:
            g["embedding.W"] += self._output_dW.T  # output.W = embedding.W.T
        return loss, after

    def loss(
        self,
        ids: npt.ArrayLike,
        targets: npt.ArrayLike,
        state: State | None = None,
        *,
        tapes: Tapes | None = None,
        dropout: Dropout = NO_DROPOUT,
    ) -> tuple[Number, State]:
        """Return the mean loss in nats per token of ids and targets (T, B), or (T) for one text, and the final state.

        Pass the same `tapes` to several calls to reuse their buffers. Does not wait for the device; float() of the loss
        does.
        """
        x, y = self._checked_pair(ids, targets)
        h, after = self._forward(x, state, {} if tapes is None else tapes, dropout)
        return self._loss(h, y)[0], after

    def logits(self, ids: npt.ArrayLike, state: State | None = None) -> tuple[npt.NDArray[Any], State]:
        """Return the logits (T, B, V) of the token after each of ids (T, B), and the final state.

        For one text's ids (T) the logits are (T, V). Raises `ConfigError` if ids are outside the vocabulary.

        >>> model = numlstm.load("shakespeare", device="reference")
        >>> logits, state = model.logits(model.vocab.encode("To be"))
        >>> logits.shape
        (5, 65)
        """
        x = self._checked(ids)
        h, after = self._forward(self.backend.asarray(x), state, {}, NO_DROPOUT)
        logits = self.backend.dense_forward(_rows(h), self._output)
        return self.backend.to_numpy(logits).reshape(*np.shape(ids), self.config.vocab_size), after

    def read(self, ids: npt.ArrayLike, state: State) -> State:
        """Read ids (T, B), where T may be 0, and return the state after them."""
        x = self._checked(ids)
        return self._forward(self.backend.asarray(x), state, {}, NO_DROPOUT)[1] if len(x) else state

    def draw(
        self, ids: npt.ArrayLike, state: State, uniforms: Draws | npt.NDArray[np.float64], how: Sampling | float = 1.0
    ) -> tuple[npt.NDArray[np.int32], State]:
        """Read ids (B), then sample N tokens for each of the B streams, (N, B): see `Backend.generate`.

        `uniforms` are the random numbers (N, B) in [0, 1), or `Draws` that tell the device how to make them. `how` is
        the result of `sampling.of`, or one temperature for all streams. Raises `ConfigError` if shapes do not match or
        the temperature is not a number of 0 or more.
        """
        x = self._checked(np.asarray(ids)[None])[0]
        self._check_state(state, len(x))
        if len(uniforms.shape) != 2 or uniforms.shape[1] != len(x):
            raise ConfigError(f"uniforms have shape {uniforms.shape}; expected (N, {len(x)}) for {len(x)} streams")
        how = how if isinstance(how, Sampling) else sampling.of(len(x), how)
        if len(how.temperature) != len(x) or (
            how.allowed is not None and how.allowed.shape[1] != self.config.vocab_size
        ):
            raise ConfigError(
                f"the sampling settings do not match; expected settings for {len(x)} streams and "
                f"{self.config.vocab_size} tokens"
            )
        numbers = self.backend.uniforms(*uniforms) if isinstance(uniforms, Draws) else uniforms
        return self.backend.generate(self._layers, self._output, state, x, numbers, how, self._embedding, self._rounded)

    def _checked(self, ids: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Check that ids are in the vocabulary; return them as (T, B), or (T, 1) for one text (T)."""
        array = np.asarray(ids)
        if array.ndim not in (1, 2) or array.dtype.kind not in "iu":
            raise ConfigError(f"ids are {array.dtype} of shape {array.shape}; expected whole numbers (T, B) or (T)")
        if array.size and not (array.min() >= 0 and array.max() < self.config.vocab_size):
            raise ConfigError(
                f"ids range from {array.min()} to {array.max()}; expected 0 to {self.config.vocab_size - 1}"
            )
        return (array if array.ndim == 2 else array[:, None]).astype(np.int32, copy=False)

    def _checked_pair(self, ids: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Array, Array]:
        """Check ids and targets; return them on the device."""
        x, y = self._checked(ids), self._checked(targets)
        if x.shape != y.shape or not x.size:
            raise ConfigError(
                f"ids have shape {x.shape} and targets {y.shape}; expected the same shape, at least (1, 1)"
            )
        return self.backend.asarray(x), self.backend.asarray(y)

    def _check_state(self, state: State, B: int) -> None:
        found = [(tuple(h.shape), tuple(c.shape)) for h, c in state]
        expected = self._state_shapes(B)
        if found != expected:
            raise ConfigError(f"the state has shapes {found}; expected {expected}: h and c of each layer")

    def hidden(self, ids: npt.ArrayLike, state: State | None = None) -> list[npt.NDArray[Any]]:
        """Return h (T, B, R) of each layer after each of ids (T, B), or (T, R) for one text (T)."""
        found: list[npt.NDArray[Any]] = []
        self._forward(self.backend.asarray(self._checked(ids)), state, {}, NO_DROPOUT, found)
        return [h.reshape(*np.shape(ids), h.shape[-1]) for h in found]

    def _forward(
        self,
        x: Array,
        state: State | None,
        tapes: Tapes,
        dropout: Dropout,
        hidden: list[npt.NDArray[Any]] | None = None,
    ) -> tuple[Array, State]:
        (T, B), L = x.shape, len(self._layers)
        state = self.zero_state(B) if state is None else state
        self._check_state(state, B)
        kept = tapes.setdefault((T, B), [None] * (2 * L + 1))
        after = []
        if self._embedding is not None:
            x = self.backend.embed(x, self._embedding)
            if mask := dropout.between(-1):
                x = kept[L] = self.backend.dropout(x, mask, out=kept[L])
        for n, (packed, (h0, c0)) in enumerate(zip(self._layers, state, strict=True)):
            x, last, kept[n] = self.backend.lstm_forward(x, packed, h0, c0, mask=dropout.within(n), tape=kept[n])
            after.append(last)
            if hidden is not None:
                hidden.append(self.backend.to_numpy(x))
            if mask := dropout.between(n):
                x = kept[L + 1 + n] = self.backend.dropout(x, mask, out=kept[L + 1 + n])
        return x, after

    def _loss(self, h: Array, targets: Array, loss_scale: Array = None) -> tuple[Number, Array]:
        logits = self.backend.dense_forward(_rows(h), self._output)
        return self.backend.softmax_cross_entropy(logits, targets.reshape(-1), scale=loss_scale)


def _rows(h: Array) -> Array:
    """Return h (T, B, H) as (T B, H)."""
    return h.reshape(-1, h.shape[-1])
