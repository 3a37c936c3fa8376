"""Proof of a backend's gradients on the machine at hand: by finite differences, and against `reference`.

A subject is a scalar function of some arrays, each of which has a gradient: stacks of one, two and three layers of
unequal sizes, the dense layer and the loss, each at the seam, and whole networks that read token ids. Every
entry of every array is moved, and the loss of the backend's own forward pass, in float64, must change as its
backward pass says. A backend other than `reference` must also agree with that one in float64 and in float32, outputs
included. Knows nothing about how a backend computes, and prints nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from . import backends, params
from .backends import Array, Backend
from .config import ModelConfig
from .model import Model, State

Values = npt.NDArray[Any]
Named = dict[str, Values]

ALLOWED = 1e-7  # finite differences in float64
ALLOWED_BY_DTYPE = {"float64": 1e-10, "float32": 1e-4}  # agreement with `reference`
# Entries smaller than this part of their array's largest count as that large.
FLOOR = 1e-3
_FLOOR_BY_DTYPE = {"float64": FLOOR, "float32": 0.03}

# Central differences of the sixth order: the error h^6 / 140 times the seventh derivative is small enough to let the
# step h be long, and the loss's rounding is divided by it. Measured: half or twice this step is worse.
_STEP = 0.01
_STENCIL = ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))


@dataclasses.dataclass(frozen=True)
class Row:
    """What one array's check found: its `shape`, the relative `error` of its worst entry and what is `allowed`."""

    what: str
    shape: tuple[int, ...]
    error: float
    allowed: float

    @property
    def ok(self) -> bool:
        """Whether the error is allowed; one that is not a number is not."""
        return self.error <= self.allowed


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of a subject: T time steps, B rows, D inputs, V outputs, and the hidden units of each layer."""

    T: int
    B: int
    D: int
    V: int
    layers: tuple[int, ...]


# All of a subject's sizes differ, so that no two axes can be mistaken for one another.
SMALL = (Sizes(4, 2, 5, 7, (3,)), Sizes(4, 2, 5, 7, (3, 1)), Sizes(4, 2, 7, 6, (3, 1, 5)))
LARGE = Sizes(5, 7, 11, 70, (33, 18, 20))  # several registers wide, for the comparison with `reference`


def check(backend: Backend, *, seed: int = 0, threads: int | None = None) -> Iterator[Row]:
    """Check every gradient of a backend on arrays drawn from `seed`, yielding a row per array.

    Finite differences are thousands of tiny calls and run on one thread; then the backend uses `threads` (None:
    one per core) and keeps them. Raises `ConfigError` if that is more than it has.
    """
    backend.set_threads(1)
    try:
        for subject in _small_subjects(seed):
            yield from against_finite_differences(backend, subject)
    finally:
        backend.set_threads(threads)
    if backend.name == "reference":
        return
    for dtype in ALLOWED_BY_DTYPE:
        for subject in _subjects(LARGE, seed):
            yield from against_reference(backend, subject, dtype)


def relative_error(found: npt.ArrayLike, expected: npt.ArrayLike, floor: float = FLOOR) -> float:
    """Return the largest |found - expected| / max(|found|, |expected|, floor * max |expected|) over all entries.

    The floor, by default a thousandth of the array's largest expected entry, keeps entries that are all but zero
    from being judged by their rounding. NaN if an entry is; infinite if the shapes differ, or if nothing but zero is
    expected, which would prove nothing.
    """
    a, n = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    largest = np.abs(n).max(initial=0.0)
    if a.shape != n.shape or largest == 0.0:
        return float("inf")
    scale = np.maximum(np.maximum(np.abs(a), np.abs(n)), floor * largest)
    return float((np.abs(a - n) / scale).max())


def finite_differences(value: Callable[[Named], float], inputs: Named, name: str) -> Values:
    """Return the gradient of `value(inputs)` with respect to `inputs[name]`, by six evaluations an entry."""
    moved = {**inputs, name: inputs[name].copy()}
    entries = moved[name].reshape(-1)
    gradient = np.zeros(entries.size)
    for n, at in enumerate(inputs[name].reshape(-1)):
        for steps, weight in _STENCIL:
            for sign in (1, -1):
                entries[n] = at + sign * steps * _STEP
                gradient[n] += sign * weight / _STEP * value(moved)
        entries[n] = at
    return gradient.reshape(inputs[name].shape)


class Subject(Protocol):
    """A scalar function of the arrays `inputs` (float64)."""

    title: str
    inputs: Named

    def value(self, backend: Backend, inputs: Named) -> float:
        """Return the scalar, by the backend's forward pass."""

    def gradients(self, backend: Backend, inputs: Named) -> tuple[Values, Named]:
        """Return the output of the forward pass and, by the backward pass, the gradient of each input."""


def against_finite_differences(backend: Backend, subject: Subject) -> Iterator[Row]:
    """Yield a row for each input of a subject: the backward pass against finite differences in float64."""
    _, found = subject.gradients(backend, subject.inputs)
    for name in subject.inputs:
        expected = finite_differences(lambda moved: subject.value(backend, moved), subject.inputs, name)
        error = relative_error(found[name], expected)
        yield Row(f"{subject.title}: d {name}", expected.shape, error, ALLOWED)


def against_reference(backend: Backend, subject: Subject, dtype: str) -> Iterator[Row]:
    """Yield a row for a subject's output and each gradient: a backend in `dtype` against `reference` in float64.

    Both read the same numbers, those that `dtype` can hold.
    """
    rounded = {name: values.astype(dtype) for name, values in subject.inputs.items()}
    exact = {name: values.astype(np.float64) for name, values in rounded.items()}
    output, found = subject.gradients(backend, rounded)
    expected_output, expected = subject.gradients(backends.load("reference"), exact)
    pairs = {"output": (output, expected_output)}
    pairs |= {f"d {name}": (found[name], expected[name]) for name in subject.inputs}
    for name, (a, n) in pairs.items():
        error = relative_error(a, n, _FLOOR_BY_DTYPE[dtype])
        yield Row(f"{subject.title}, {dtype}: {name}", n.shape, error, ALLOWED_BY_DTYPE[dtype])


class Stack:
    """Layers above each other that read activations; the scalar is a random linear functional of the last h."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        self.title = _count(sizes.layers)
        self.inputs: Named = {"x": rng.standard_normal((sizes.T, sizes.B, sizes.D))}
        self._functional = rng.standard_normal((sizes.T, sizes.B, sizes.layers[-1]))
        self._depth, D = len(sizes.layers), sizes.D
        for layer, H in enumerate(sizes.layers):
            shapes = {"W_x": (D, 4 * H), "W_h": (H, 4 * H), "b": (4 * H,), "h0": (sizes.B, H), "c0": (sizes.B, H)}
            for name, shape in shapes.items():
                bound = 1 if name in ("h0", "c0") else H**-0.5
                self.inputs[f"lstm.{layer}.{name}"] = rng.uniform(-bound, bound, shape)
            D = H

    def value(self, backend: Backend, inputs: Named) -> float:
        h, _ = self._forward(backend, inputs)
        return float(np.sum(backend.to_numpy(h) * self._functional))

    def gradients(self, backend: Backend, inputs: Named) -> tuple[Values, Named]:
        h, passes = self._forward(backend, inputs)
        output = backend.to_numpy(h)
        dh: Any = backend.asarray(self._functional, output.dtype)
        found: Named = {}
        for layer in reversed(range(self._depth)):
            names = [f"lstm.{layer}.{name}" for name in ("W_x", "W_h", "b", "h0", "c0")]
            into = [backend.zeros(inputs[name].shape, output.dtype) for name in names[:3]]
            dh, dh0, dc0 = backend.lstm_backward(dh, *passes[layer], *into)
            for name, gradient in zip(names, (*into, dh0, dc0), strict=True):
                found[name] = backend.to_numpy(gradient)
        found["x"] = backend.to_numpy(dh)
        return output, found

    def _forward(self, backend: Backend, inputs: Named) -> tuple[Array, list[tuple[Any, Any]]]:
        x, passes = backend.asarray(inputs["x"]), []
        for layer in range(self._depth):
            names = (f"lstm.{layer}.{name}" for name in ("W_x", "W_h", "b", "h0", "c0"))
            W_x, W_h, b, h0, c0 = (backend.asarray(inputs[name]) for name in names)
            packed = backend.pack_lstm(W_x, W_h, b, tokens=False)
            x, _, tape = backend.lstm_forward(x, packed, h0, c0)
            passes.append((packed, tape))
        return x, passes


class Dense:
    """The output layer alone; the scalar is a random linear functional of the logits."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        N, H, V = sizes.T * sizes.B, sizes.layers[0], sizes.V
        self.title = "dense"
        self.inputs = {name: rng.standard_normal(shape) for name, shape in (("h", (N, H)), ("W", (H, V)), ("b", V))}
        self._functional = rng.standard_normal((N, V))

    def value(self, backend: Backend, inputs: Named) -> float:
        logits = self._forward(backend, inputs)[0]
        return float(np.sum(backend.to_numpy(logits) * self._functional))

    def gradients(self, backend: Backend, inputs: Named) -> tuple[Values, Named]:
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
    """The softmax cross-entropy alone: mean nats of random targets."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        N = sizes.T * sizes.B
        self.title = "loss"
        self.inputs = {"logits": 2 * rng.standard_normal((N, sizes.V))}
        self._targets = rng.integers(0, sizes.V, N, np.int32)

    def value(self, backend: Backend, inputs: Named) -> float:
        return self._run(backend, inputs)[0]

    def gradients(self, backend: Backend, inputs: Named) -> tuple[Values, Named]:
        loss, dlogits = self._run(backend, inputs)
        return np.array(loss), {"logits": backend.to_numpy(dlogits)}

    def _run(self, backend: Backend, inputs: Named) -> tuple[float, Array]:
        logits, targets = (backend.asarray(values) for values in (inputs["logits"], self._targets))
        return backend.softmax_cross_entropy(logits, targets)


class Network:
    """A whole network that reads token ids from a random state; the scalar is its loss, mean nats per token."""

    def __init__(self, rng: np.random.Generator, sizes: Sizes) -> None:
        self.title = f"network of {_count(sizes.layers)}"
        self._config = ModelConfig(sizes.V, sizes.layers, "float64")
        self.inputs: Named = {}
        for name, shape in params.shapes(self._config).items():
            # Strong gradients are hidden less by the loss's rounding.
            bound = 2.0 if name == "output.W" else 0.8
            self.inputs[name] = rng.uniform(-bound, bound, shape)
        self._ids, self._targets = rng.integers(0, sizes.V, (2, sizes.T, sizes.B), np.int32)
        self._state = [rng.uniform(-1, 1, (2, sizes.B, H)) for H in sizes.layers]
        self._used: tuple[Model, State] | None = None

    def value(self, backend: Backend, inputs: Named) -> float:
        model, state = self._model(backend, inputs)
        return model.loss(self._ids, self._targets, state)[0]

    def gradients(self, backend: Backend, inputs: Named) -> tuple[Values, Named]:
        model, state = self._model(backend, inputs)
        logits, _ = model.logits(self._ids, state)
        _, found, _ = model.loss_and_gradients(self._ids, self._targets, state)
        return logits, found

    def _model(self, backend: Backend, inputs: Named) -> tuple[Model, State]:
        dtype = str(inputs["output.b"].dtype)
        config = dataclasses.replace(self._config, dtype=dtype)
        # Finite differences ask thousands of times for a network that differs in its parameters alone.
        if self._used is None or self._used[0].backend is not backend or self._used[0].config != config:
            state = [(backend.asarray(h, dtype), backend.asarray(c, dtype)) for h, c in self._state]
            self._used = Model(config, params.flatten(inputs, config), backend), state
        else:
            self._used[0].set_params(inputs)
        return self._used


def _small_subjects(seed: int) -> Iterator[Subject]:
    for sizes in SMALL:
        rng = np.random.default_rng([seed, len(sizes.layers)])
        yield Stack(rng, sizes)
        yield Network(rng, sizes)
    rng = np.random.default_rng(seed)
    yield Dense(rng, SMALL[0])
    yield Loss(rng, SMALL[0])


def _subjects(sizes: Sizes, seed: int) -> Iterator[Subject]:
    rng = np.random.default_rng(seed)
    for kind in (Stack, Network, Dense, Loss):
        yield kind(rng, sizes)


def _count(layers: tuple[int, ...]) -> str:
    return f"{len(layers)} layer{'s' * (len(layers) > 1)}"
