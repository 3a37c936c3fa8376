"""The subjects of `gradcheck`: scalar functions of named arrays, with a gradient for each array.

A stack of layers, the dense layer and the loss call the backend directly; the fourth subject is a whole network that
reads token ids.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..backends.protocol import Array, Backend
from ..backends.spec.dropout import Dropout
from ..backends.spec.variant import Variant
from ..model import Model
from ..network import parameters
from ..network.network import State
from ..settings.network import NetworkSettings

Values = npt.NDArray[Any]
Named = dict[str, Values]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of a subject: T time steps, B rows, D inputs, V outputs, and the hidden units of each layer.

    The options are those of `NetworkSettings` and `Dropout`. A stack of layers has no embedding, and only recurrent
    dropout.
    """

    T: int
    B: int
    D: int
    V: int
    layers: tuple[int, ...]
    embedding: int = 0
    projection: int = 0
    layer_norm: bool = False
    tie_weights: bool = False
    hard: bool = False
    rate: float = 0.0
    recurrent: float = 0.0

    @property
    def config(self) -> NetworkSettings:
        """The settings of a float64 network with these sizes."""
        activation = "hard-sigmoid" if self.hard else "sigmoid"
        options = (self.embedding, self.projection, self.layer_norm, self.tie_weights, activation)
        return NetworkSettings(self.V, self.layers, "float64", *options)

    @property
    def dropout(self) -> Dropout:
        """The dropout with these rates."""
        return Dropout(self.rate, self.recurrent, seed=5, step=7)

    @property
    def title(self) -> str:
        """The layers and options in words."""
        options = {
            "embedding": self.embedding,
            "projection": self.projection,
            "layer norm": self.layer_norm,
            "tied weights": self.tie_weights,
            "hard gates": self.hard,
            "dropout": self.rate,
            "recurrent dropout": self.recurrent,
        }
        layers = f"{len(self.layers)} layer{'s' * (len(self.layers) > 1)}"
        return ", ".join([layers, *(name for name, on in options.items() if on)])


class GradientCase(Protocol):
    """A scalar function of the arrays `inputs` (float64)."""

    title: str
    inputs: Named
    curved: bool  # True if high curvature requires a shorter step for finite differences

    def value(self, backend: Backend, inputs: Named) -> float:
        """Compute the scalar with the backend's forward pass."""

    def gradients(self, backend: Backend, inputs: Named, precision: str = "") -> tuple[Values, Named]:
        """Return the output of the forward pass, and each input's gradient from the backward pass.

        `precision` applies to the layers' matrix products (see `Backend.pack_lstm`).
        """


class Stack:
    """A stack of layers that reads activations; the scalar is a random linear functional of the last layer's h."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        self.title, self._sizes, config = sizes.title, sizes, sizes.config
        self.curved = sizes.layer_norm
        self.inputs: Named = {"x": rng.standard_normal((sizes.T, sizes.B, sizes.D))}
        self._functional = rng.standard_normal((sizes.T, sizes.B, config.state_sizes[-1]))
        D = sizes.D
        for layer, (H, R) in enumerate(zip(sizes.layers, config.state_sizes, strict=True)):
            shapes = {**parameters.layer_shapes(D, H, R, config), "h0": (sizes.B, R), "c0": (sizes.B, H)}
            for name, shape in shapes.items():
                bound = 1 if name in ("h0", "c0", "gain", "c_gain") else H**-0.5
                self.inputs[f"lstm.{layer}.{name}"] = rng.uniform(-bound, bound, shape)
            D = R

    def value(self, backend: Backend, inputs: Named) -> float:
        h, _ = self._forward(backend, inputs)
        return float(np.sum(backend.to_numpy(h) * self._functional))

    def gradients(self, backend: Backend, inputs: Named, precision: str = "") -> tuple[Values, Named]:
        h, passes = self._forward(backend, inputs, precision)
        output = backend.to_numpy(h)
        dh: Any = backend.asarray(self._functional, output.dtype)
        found: Named = {}
        for layer in reversed(range(len(self._sizes.layers))):
            own = {name: inputs[name] for name in inputs if name.startswith(f"lstm.{layer}.")}
            into = {name: backend.zeros(value.shape, output.dtype) for name, value in own.items()}
            (dW_x, dW_h, db), variant = self._weights(into, layer)
            packed, tape = passes[layer]
            dh, dh0, dc0 = backend.lstm_backward(dh, packed, tape, dW_x, dW_h, db, variant)
            into |= {f"lstm.{layer}.h0": dh0, f"lstm.{layer}.c0": dc0}
            found |= {name: backend.to_numpy(gradient) for name, gradient in into.items()}
        found["x"] = backend.to_numpy(dh)
        return output, found

    def _forward(self, backend: Backend, inputs: Named, precision: str = "") -> tuple[Array, list[tuple[Any, Any]]]:
        x, passes = backend.asarray(inputs["x"]), []
        for layer in range(len(self._sizes.layers)):
            own = {name: backend.asarray(inputs[name]) for name in inputs if name.startswith(f"lstm.{layer}.")}
            (W_x, W_h, b), variant = self._weights(own, layer)
            packed = backend.pack_lstm(W_x, W_h, b, tokens=False, precision=precision, variant=variant)
            h0, c0 = own[f"lstm.{layer}.h0"], own[f"lstm.{layer}.c0"]
            x, _, tape = backend.lstm_forward(x, packed, h0, c0, mask=self._sizes.dropout.within(layer))
            passes.append((packed, tape))
        return x, passes

    def _weights(self, of: dict[str, Array], layer: int) -> tuple[list[Array], Variant]:
        """Return a layer's W_x, W_h and b and its variant, or their gradients."""
        arrays = [of[f"lstm.{layer}.{name}"] for name in ("W_x", "W_h", "b")]
        W_p, gain, c_gain, c_bias = (of.get(f"lstm.{layer}.{name}") for name in ("W_p", "gain", "c_gain", "c_bias"))
        return arrays, Variant(W_p, gain, c_gain, c_bias, self._sizes.hard)


class Dense:
    """The output layer alone; the scalar is a random linear functional of the logits."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        N, H, V = sizes.T * sizes.B, sizes.layers[0], sizes.V
        self.title, self.curved = "dense", False
        self.inputs = {name: rng.standard_normal(shape) for name, shape in (("h", (N, H)), ("W", (H, V)), ("b", V))}
        self._functional = rng.standard_normal((N, V))

    def value(self, backend: Backend, inputs: Named) -> float:
        logits = self._forward(backend, inputs)[0]
        return float(np.sum(backend.to_numpy(logits) * self._functional))

    def gradients(self, backend: Backend, inputs: Named, precision: str = "") -> tuple[Values, Named]:
        logits, h, packed = self._forward(backend, inputs)
        output = backend.to_numpy(logits)
        dW, db = (backend.zeros(inputs[name].shape, output.dtype) for name in ("W", "b"))
        dh = backend.dense_backward(backend.asarray(self._functional, output.dtype), h, packed, dW, db)
        return output, {name: backend.to_numpy(d) for name, d in (("h", dh), ("W", dW), ("b", db))}

    def _forward(self, backend: Backend, inputs: Named) -> tuple[Array, Array, Any]:
        h, W, b = (backend.asarray(inputs[name]) for name in ("h", "W", "b"))
        packed = backend.pack_dense(W, b)
        return backend.dense_forward(h, packed), h, packed


class Loss:
    """The softmax cross-entropy alone: the mean loss in nats on random targets."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        N = sizes.T * sizes.B
        self.title, self.curved = "loss", False
        self.inputs = {"logits": 2 * rng.standard_normal((N, sizes.V))}
        self._targets = rng.integers(0, sizes.V, N, np.int32)

    def value(self, backend: Backend, inputs: Named) -> float:
        return self._run(backend, inputs)[0]

    def gradients(self, backend: Backend, inputs: Named, precision: str = "") -> tuple[Values, Named]:
        loss, dlogits = self._run(backend, inputs)
        return np.array(loss), {"logits": backend.to_numpy(dlogits)}

    def _run(self, backend: Backend, inputs: Named) -> tuple[float, Array]:
        logits, targets = (backend.asarray(values) for values in (inputs["logits"], self._targets))
        loss, dlogits = backend.softmax_cross_entropy(logits, targets)
        return float(loss), dlogits


class Network:
    """A whole network that reads token ids from a random state; the scalar is its loss, mean nats per token."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        self.title, self._dropout, self._config = f"network of {sizes.title}", sizes.dropout, sizes.config
        self.curved = sizes.layer_norm
        self.inputs: Named = {}
        for name, shape in parameters.shapes(self._config).items():
            # Larger output weights give larger gradients, which the loss's rounding affects less.
            bound = 2.0 if name == "output.W" else 0.8
            self.inputs[name] = rng.uniform(-bound, bound, shape)
        self._ids, self._targets = rng.integers(0, sizes.V, (2, sizes.T, sizes.B), np.int32)
        state_shapes = zip(self._config.state_sizes, sizes.layers, strict=True)
        self._state = [tuple(rng.uniform(-1, 1, (sizes.B, H)) for H in pair) for pair in state_shapes]
        self._used: tuple[tuple[Backend, NetworkSettings, str], Model, State] | None = None

    def value(self, backend: Backend, inputs: Named) -> float:
        model, state = self._model(backend, inputs)
        return float(model.loss(self._ids, self._targets, state, dropout=self._dropout)[0])

    def gradients(self, backend: Backend, inputs: Named, precision: str = "") -> tuple[Values, Named]:
        model, state = self._model(backend, inputs, precision)
        logits, _ = model.logits(self._ids, state)
        _, found, _ = model.loss_and_gradients(self._ids, self._targets, state, dropout=self._dropout)
        return logits, found

    def _model(self, backend: Backend, inputs: Named, precision: str = "") -> tuple[Model, State]:
        precision = precision or "float32"
        dtype = str(inputs["output.b"].dtype)
        config = dataclasses.replace(self._config, dtype=dtype)
        # Reuse the model: finite differences ask for thousands of networks that differ only in their parameters.
        wanted = (backend, config, precision)
        if self._used is None or self._used[0] != wanted:
            state = [(backend.asarray(h, dtype), backend.asarray(c, dtype)) for h, c in self._state]
            model = Model(config, parameters.flatten(inputs, config), backend, precision=precision)
            self._used = wanted, model, state
        else:
            self._used[1].set_params(inputs)
        return self._used[1:]
