"""The kernels of a shape as benchmark cases that any backend can run.

Each case is created twice from the same numbers: for the backend under test in float32, and for `reference` in float64,
so that their outputs can be compared.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numlstm.backends.protocol import Array, Backend
from numlstm.backends.spec import sampling

from . import shapes
from .shapes import Shape

Outputs = dict[str, Any]  # arrays and numbers of the backend

# Largest allowed difference, relative to the largest entry of an array.
TOLERANCES = {"float32": 5e-5, "bf16": 2e-2, "bf16x2": 1e-3, "bf16x3": 5e-5}
TOLERANCE = TOLERANCES["float32"]
STREAMS = {1: 128, 64: 8}  # characters per stream and call, by number of streams

_TEMPERATURE = 0.6
_GAIN = 4.0  # scale of the parameters for generation, so that the likeliest characters vary


def nothing() -> None:
    """Do nothing; the default for `Call.prepare`."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A repeatable call; `prepare` resets the arrays that it overwrites and is not timed."""

    run: Callable[[], Outputs]
    prepare: Callable[[], object] = nothing

    def run_once(self) -> Outputs:
        """Prepare, then call."""
        self.prepare()
        return self.run()


@dataclasses.dataclass(frozen=True)
class Case:
    """A kernel on one shape, with the amount of work per call; 0 for figures that are not informative.

    `flop` counts useful floating-point operations, `moved` the minimum bytes read and written in float32.
    """

    name: str
    make: Callable[[Backend, str], Call]
    flop: int = 0
    moved: int = 0
    elements: int = 0
    characters: int = 0


def cases(shape: Shape, precision: str = "float32") -> Iterator[Case]:
    """Yield the kernels that training and generation with this shape use.

    In another precision than float32 only those with matrix products, whose factors are rounded.
    """
    N, H, V = shape.seq_len * shape.batch_size, shape.layers[-1], shape.vocab_size
    P = sum(values.size for values in shapes.parameters(shape).values())
    for tokens in (True, False)[: len(shape.layers)]:
        kind, flop = ("tokens" if tokens else "activations"), 2 * N * 4 * H * (H if tokens else 2 * H)
        layer = functools.partial(_Layer, shape, tokens, precision)
        yield Case(f"lstm_forward, {kind}", lambda *at, layer=layer: layer(*at).forward_call(), flop)
        yield Case(f"lstm_backward, {kind}", lambda *at, layer=layer: layer(*at).backward_call(), 2 * flop)
    yield Case("dense_forward", functools.partial(_dense_forward, shape, precision), flop=2 * N * H * V)
    yield Case("dense_backward", functools.partial(_dense_backward, shape, precision), flop=4 * N * H * V)
    if precision != "float32":
        return
    loss = functools.partial(_softmax_cross_entropy, shape)
    yield Case("softmax_cross_entropy", loss, moved=8 * N * V, elements=N * V)  # reads logits, writes their gradient
    yield Case("global_norm", functools.partial(_global_norm, P), moved=4 * P, elements=P)
    yield Case("adam_", functools.partial(_adam, P, None), moved=28 * P, elements=P)  # reads four arrays, writes three
    L = 8 * H * H + 4 * H
    packing = functools.partial(_adam, L, H)
    yield Case("adam_, packed", packing, moved=36 * L, elements=L)  # writes each weight twice more
    for streams, length in STREAMS.items():
        name, drawn = f"generate, {streams} stream{'s' * (streams > 1)}", streams * length
        make = functools.partial(_generate, shape, streams, length)
        yield Case(name, make, flop=drawn * shape.flop_per_character // 3, characters=drawn)


def largest_error(backend: Backend, found: Outputs, expected: Outputs) -> float:
    """Return the largest difference from the reference's outputs, relative to the largest entry of each array."""
    errors = [0.0]
    for name, value in expected.items():
        if value is not None:
            a = float(found[name]) if isinstance(value, float) else backend.to_numpy(found[name])
            errors.append(np.abs(a - value).max() / max(np.abs(value).max(), 1e-300))
    return float(np.max(errors))  # not Python's max, which may skip NaN


class _Numbers:
    """Draws arrays with the same values on every backend: rounded to float32 before conversion to `dtype`."""

    def __init__(self, backend: Backend, dtype: str) -> None:
        self.backend, self.dtype, self.rng = backend, dtype, np.random.default_rng(0)

    def uniform(self, bound: float, *shape: int) -> Array:
        return self.moved(self.rng.uniform(-bound, bound, shape))

    def ids(self, count: int, *shape: int) -> Array:
        return self.backend.asarray(self.rng.integers(0, count, shape, np.int32))

    def moved(self, values: Any) -> Array:
        return self.backend.asarray(np.asarray(values, np.float32), self.dtype)

    def parameters(self, shape: Shape, gain: float = 1.0) -> dict[str, Array]:
        return {name: self.moved(values) for name, values in shapes.parameters(shape, gain).items()}


class _Layer:
    """One layer with its inputs and the gradient of its output."""

    def __init__(self, shape: Shape, tokens: bool, precision: str, backend: Backend, dtype: str) -> None:
        T, B, H = shape.seq_len, shape.batch_size, shape.layers[-1]
        D, draw = shape.vocab_size if tokens else H, _Numbers(backend, dtype)
        self.backend = backend
        weights = [draw.uniform(H**-0.5, *size) for size in ((D, 4 * H), (H, 4 * H), (4 * H,))]
        self.packed = backend.pack_lstm(*weights, tokens=tokens, precision=_factors(precision, dtype))
        self.gradients = [backend.zeros(each.shape, dtype) for each in weights]
        self.x = draw.ids(D, T, B) if tokens else draw.uniform(0.5, T, B, H)
        self.h0, self.c0, self.dh = draw.uniform(0.5, B, H), draw.uniform(0.5, B, H), draw.uniform(0.01, T, B, H)
        self.tape: Any = None

    def forward_call(self) -> Call:
        return Call(self.forward)

    def backward_call(self) -> Call:
        return Call(self.backward, prepare=self.before_backward)

    def forward(self) -> Outputs:
        h, (h_last, c_last), self.tape = self.backend.lstm_forward(
            self.x, self.packed, self.h0, self.c0, tape=self.tape
        )
        return {"h": h, "h_last": h_last, "c_last": c_last}

    def before_backward(self) -> None:
        _clear(self.gradients)
        self.forward()  # a backward pass may overwrite the tape

    def backward(self) -> Outputs:
        dx, dh0, dc0 = self.backend.lstm_backward(self.dh, self.packed, self.tape, *self.gradients)
        return dict(zip(("dW_x", "dW_h", "db"), self.gradients, strict=True)) | {"dx": dx, "dh0": dh0, "dc0": dc0}


def _dense_forward(shape: Shape, precision: str, backend: Backend, dtype: str) -> Call:
    h, packed, _, _ = _dense(shape, precision, backend, dtype)
    return Call(lambda: {"logits": backend.dense_forward(h, packed)})


def _dense_backward(shape: Shape, precision: str, backend: Backend, dtype: str) -> Call:
    h, packed, dlogits, (dW, db) = _dense(shape, precision, backend, dtype)
    return Call(
        lambda: {"dh": backend.dense_backward(dlogits, h, packed, dW, db), "dW": dW, "db": db},
        prepare=lambda: _clear((dW, db)),
    )


def _dense(shape: Shape, precision: str, backend: Backend, dtype: str) -> tuple[Array, Any, Array, tuple[Array, Array]]:
    N, H, V = shape.seq_len * shape.batch_size, shape.layers[-1], shape.vocab_size
    draw = _Numbers(backend, dtype)
    W, b = draw.uniform(H**-0.5, H, V), draw.uniform(H**-0.5, V)
    gradients = backend.zeros(W.shape, dtype), backend.zeros(b.shape, dtype)
    packed = backend.pack_dense(W, b, precision=_factors(precision, dtype))
    return draw.uniform(0.5, N, H), packed, draw.uniform(0.01, N, V), gradients


def _factors(precision: str, dtype: str) -> str:
    """Return the precision of the factors as a backend takes it; the reference's float64 is never rounded."""
    return "" if precision == "float32" or dtype == "float64" else precision


def _softmax_cross_entropy(shape: Shape, backend: Backend, dtype: str) -> Call:
    N, V = shape.seq_len * shape.batch_size, shape.vocab_size
    draw = _Numbers(backend, dtype)
    logits, targets = draw.uniform(3.0, N, V), draw.ids(V, N)
    work = backend.zeros((N, V), dtype)

    def prepare() -> None:
        work[...] = logits

    def run() -> Outputs:
        loss, dlogits = backend.softmax_cross_entropy(work, targets)
        return {"loss": loss, "dlogits": dlogits}

    return Call(run, prepare)


def _global_norm(P: int, backend: Backend, dtype: str) -> Call:
    gradients = _Numbers(backend, dtype).uniform(0.01, P)
    return Call(lambda: {"norm": backend.global_norm(gradients)})


def _adam(P: int, H: int | None, backend: Backend, dtype: str) -> Call:
    draw = _Numbers(backend, dtype)
    params, gradients, m = draw.uniform(0.1, P), draw.uniform(0.01, P), draw.uniform(0.01, P)
    v = draw.moved(draw.rng.uniform(-0.01, 0.01, P) ** 2)  # a mean of squares
    rates = {"step": 10, "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}
    rates |= {"norm": backend.global_norm(gradients), "clip": 1.0}
    packed = []
    if H is not None:
        W_x, W_h, b = params[: 4 * H * H], params[4 * H * H : 8 * H * H], params[8 * H * H :]
        packed = [backend.pack_lstm(W_x.reshape(H, 4 * H), W_h.reshape(H, 4 * H), b, tokens=False)]

    def run() -> Outputs:
        backend.adam_(params, gradients, m, v, packed=packed, **rates)
        return {"params": params, "m": m, "v": v}

    return Call(run)


def _generate(shape: Shape, streams: int, length: int, backend: Backend, dtype: str) -> Call:
    draw = _Numbers(backend, dtype)
    w = draw.parameters(shape, _GAIN)
    layers = [
        backend.pack_lstm(*(w[f"lstm.{n}.{name}"] for name in ("W_x", "W_h", "b")), tokens=n == 0)
        for n in range(len(shape.layers))
    ]
    output = backend.pack_dense(w["output.W"], w["output.b"])
    state = [(draw.uniform(0.5, streams, H), draw.uniform(0.5, streams, H)) for H in shape.layers]
    ids, uniforms = draw.ids(shape.vocab_size, streams), draw.rng.random((length, streams))
    how = sampling.of(streams, _TEMPERATURE)

    def run() -> Outputs:
        drawn, after = backend.generate(layers, output, state, ids, uniforms, how)
        return {"drawn": drawn} | {f"h{n}": h for n, (h, _) in enumerate(after)}

    return Call(run)


def _clear(arrays: Any) -> None:
    for array in arrays:
        array[...] = 0


def wait(backend: Backend) -> None:
    """Wait until the device has finished all queued work, which it does in order."""
    if backend.queued:
        backend.to_numpy(backend.zeros(1, "float32"))
