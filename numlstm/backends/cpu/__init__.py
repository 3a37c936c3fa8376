"""The CPU backend: Numba kernels on all cores.

The functions are those of the `Backend` protocol, whose docstrings say what goes in and out; here they check
arrays, hold memory and hand both to the kernels. The rooms:

    jit.py          how kernels are compiled and where they are kept
    simd.py         vector registers as expressions
    activations.py  exp, sigmoid and tanh of a register
    product.py      matrix products from one register tile
    packing.py      weights in the order in which the kernels read them
    recurrence.py   one layer over a whole sequence, forward and backward
    dense.py        the output layer and the loss
    update.py       gradient norm and Adam
    generation.py   drawing tokens

Compiled code is cached on disk; the number of threads decides how the work is cut and so, to rounding, the
result. Knows nothing about networks of several layers, training, files or texts.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from . import dense, generation, packing, recurrence, update
from .packing import PackedDense, PackedLSTM, aligned
from .product import BLOCK, TILE_WIDTH
from .simd import lanes, register_file

Array = npt.NDArray[Any]

name = "cpu"

# Numba's simplest threading layer aborts the process when two threads enter parallel kernels at once.
_one_at_a_time = threading.RLock()


def available() -> str:
    return ""


def describe() -> str:
    threads = numba.get_num_threads()
    return f"cpu ({threads} thread{'s' * (threads > 1)}, {register_file()[0]})"


def set_threads(threads: int | None) -> int:
    most = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if threads is not None and not 1 <= threads <= most:
        raise ConfigError(f"threads is {threads}; expected 1 to {most}, the cores that this process may use")
    numba.set_num_threads(most if threads is None else threads)
    return numba.get_num_threads()


def asarray(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    return np.array(values, dtype)


def to_numpy(array: Array) -> Array:
    return np.array(array)


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike) -> Array:
    return np.zeros(shape, dtype)


def pack_lstm(W_x: Array, W_h: Array, b: Array, *, tokens: bool, packed: PackedLSTM | None = None) -> PackedLSTM:
    if packed is None:
        packed = packing.new_lstm(W_x.shape[0], W_h.shape[0], tokens, W_h.dtype)
    packing.pack_start(W_x, b, tokens, packed.start)
    packing.pack_gates(W_h, packed.W_h)
    packing.pack_gates_transposed(W_h, packed.lanes, packed.W_h_T)
    if not tokens:
        packing.pack_gates(W_x, packed.W_x)
        packing.pack_gates_transposed(W_x, packed.lanes, packed.W_x_T)
    return packed


def pack_dense(W: Array, b: Array, *, packed: PackedDense | None = None) -> PackedDense:
    if packed is None:
        packed = packing.new_dense(W.shape[0], W.shape[1], W.dtype)
    packing.pack_dense(W, b, packed.W, packed.b, packed.W_T)
    return packed


class Tape:
    """What a forward pass leaves, in buffers that the next pass of the same shape uses again."""

    def __init__(self, T: int, B: int, packed: PackedLSTM) -> None:
        dtype, H = packed.W_h.dtype, packed.hidden_size
        P = packed.start.shape[1]
        self.shape = (T, B)
        self.no_ids = np.zeros((T, B), np.int32)
        self.no_x = np.zeros((T, B, 0), dtype)
        self.ids, self.x = self.no_ids, self.no_x
        self.h = np.zeros((T + 1, B, H), dtype)
        self.c = aligned((T + 1, B, P * packed.lanes), dtype)
        self.tanh_c = aligned((T, B, P * packed.lanes), dtype)
        self.gates = aligned((T, B, 4 * P * packed.lanes), dtype)
        self.backward: BackwardBuffers | None = None


class BackwardBuffers:
    """The memory of a backward pass."""

    def __init__(self, tape: Tape, packed: PackedLSTM) -> None:
        T, B = tape.shape
        dtype = packed.W_h.dtype
        self.dz = aligned(tape.gates.shape, dtype)
        self.dx = np.zeros((T, B, 0 if packed.tokens else packed.input_size), dtype)
        self.dh_next = aligned(tape.c.shape[1:], dtype)
        self.dc_next = aligned(tape.c.shape[1:], dtype)
        self.no_start = aligned((max(len(packed.W_h_T), len(packed.W_x_T)), TILE_WIDTH * packed.lanes), dtype)


def _lstm_tape(x: Array, packed: PackedLSTM, tape: Tape | None) -> Tape:
    T, B = x.shape[:2]
    if tape is None or tape.shape != (T, B):
        tape = Tape(T, B, packed)
    if packed.tokens:
        tape.ids, tape.x = np.ascontiguousarray(x, np.int32), tape.no_x
    else:
        tape.ids, tape.x = tape.no_ids, np.ascontiguousarray(x)
    return tape


def lstm_forward(
    x: Array, packed: PackedLSTM, h0: Array, c0: Array, *, tape: Tape | None = None
) -> tuple[Array, tuple[Array, Array], Tape]:
    H = packed.hidden_size
    tape = _lstm_tape(x, packed, tape)
    tape.h[0], tape.c[0, :, :H] = h0, c0
    with _one_at_a_time:
        recurrence.forward(
            tape.ids,
            tape.x,
            packed.start,
            packed.W_x,
            packed.W_h,
            tape.gates,
            tape.c,
            tape.tanh_c,
            tape.h,
            numba.get_num_threads(),
        )
    return tape.h[1:], (tape.h[-1].copy(), tape.c[-1, :, :H].copy()), tape


def lstm_backward(
    dh: Array, packed: PackedLSTM, tape: Tape, dW_x: Array, dW_h: Array, db: Array
) -> tuple[Array | None, Array, Array]:
    H, shards = packed.hidden_size, numba.get_num_threads()
    if tape.backward is None:
        tape.backward = BackwardBuffers(tape, packed)
    to = tape.backward
    to.dh_next[...], to.dc_next[...] = 0, 0
    with _one_at_a_time:
        recurrence.backward(
            np.ascontiguousarray(dh),
            tape.gates,
            tape.c,
            tape.tanh_c,
            packed.W_h_T,
            to.no_start,
            packed.W_x_T,
            to.dz,
            to.dx,
            to.dh_next,
            to.dc_next,
            shards,
        )
        work, ones, parts = _gradient_work(packed.start.shape[1], packed.lanes, dW_h.dtype)
        N = dh.shape[0] * dh.shape[1]
        recurrence.add_weight_gradients(
            tape.ids.reshape(N),
            tape.x.reshape(N, -1) if tape.x.size else np.empty((N, 0), dW_h.dtype),
            tape.h[:-1].reshape(N, H),
            to.dz.reshape(N, -1),
            dW_x,
            dW_h,
            db[None],
            work,
            ones,
            parts,
            shards,
        )
    return None if packed.tokens else to.dx, to.dh_next[:, :H].copy(), to.dc_next[:, :H].copy()


def _gradient_work(panels: int, lanes: int, dtype: Any) -> tuple[Array, Array, int]:
    """Return a panel for each shard, a column of ones, and into how many parts each panel's work is cut."""
    shards = numba.get_num_threads()
    return (
        aligned((shards, BLOCK, TILE_WIDTH * lanes), dtype),
        np.ones((BLOCK, 1), dtype),
        -(-shards // panels),
    )


def dense_forward(h: Array, packed: PackedDense, *, out: Array | None = None) -> Array:
    shape = (len(h), packed.W_T.shape[1])
    if out is None or out.shape != shape:
        out = np.empty(shape, packed.W.dtype)
    with _one_at_a_time:
        dense.multiply(np.ascontiguousarray(h), packed.W, packed.b, out, numba.get_num_threads())
    return out


def dense_backward(dlogits: Array, h: Array, packed: PackedDense, dW: Array, db: Array) -> Array:
    dh = np.empty(h.shape, dW.dtype)
    work, ones, parts = _gradient_work(len(packed.W), packed.lanes, dW.dtype)
    shards = numba.get_num_threads()
    with _one_at_a_time:
        dense.multiply(dlogits, packed.W_T, packed.no_bias, dh, shards)
        dense.add_weight_gradients(np.ascontiguousarray(h), dlogits, dW, db[None], work, ones, parts, shards)
    return dh


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    shards, N = numba.get_num_threads(), len(logits)
    losses = np.empty(N)
    work = np.zeros((shards, 2, lanes(logits.itemsize)), logits.dtype)
    with _one_at_a_time:
        dense.cross_entropy(logits, np.ascontiguousarray(targets, np.int32), losses, 1.0 / N, work, shards)
    return float(losses.mean()), logits


def global_norm(grads: Array) -> float:
    sums = np.zeros(-(-len(grads) // update.CHUNK))
    with _one_at_a_time:
        update.sums_of_squares(grads, sums)
    return math.sqrt(sums.sum())


def adam_(
    params: Array,
    grads: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    scale: float,
) -> None:
    rate, root = lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    scalars = (params.dtype.type(x) for x in (scale, rate, beta1, beta2, epsilon, root))
    with _one_at_a_time:
        update.adam(params, grads, m, v, *scalars)


def generate(
    layers: Sequence[PackedLSTM],
    output: PackedDense,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: npt.NDArray[np.float64],
    temperature: float,
) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
    (N, B), V, dtype = uniforms.shape, output.W_T.shape[1], output.W.dtype
    drawn = np.empty((N, B), np.int32)
    buffers = [StepBuffers(packed, h, c) for packed, (h, c) in zip(layers, state, strict=True)]
    generation.generate(
        tuple(packed.start for packed in layers),
        tuple(packed.W_x for packed in layers),
        tuple(packed.W_h for packed in layers),
        tuple(b.h for b in buffers),
        tuple(b.c for b in buffers),
        tuple(b.tanh_c for b in buffers),
        tuple(b.gates for b in buffers),
        output.W,
        output.b,
        np.empty((B, V), dtype),
        np.empty(V),
        np.array(ids, np.int32),
        np.zeros(B, np.int32),
        np.ascontiguousarray(uniforms),
        float(temperature),
        drawn,
    )
    return drawn, [(b.h[N % 2].copy(), b.c[:, : b.h.shape[2]].copy()) for b in buffers]


class StepBuffers:
    """The memory of one layer while tokens are drawn, set to the state (h0, c0)."""

    def __init__(self, packed: PackedLSTM, h0: Array, c0: Array) -> None:
        (B, H), dtype = h0.shape, packed.W_h.dtype
        units = packed.start.shape[1] * packed.lanes
        self.h = np.zeros((2, B, H), dtype)
        self.c, self.tanh_c = np.zeros((B, units), dtype), np.empty((B, units), dtype)
        self.gates = np.empty((B, 4 * units), dtype)
        self.h[0], self.c[:, :H] = h0, c0
