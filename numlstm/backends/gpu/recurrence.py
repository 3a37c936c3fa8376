"""One layer over a whole sequence: packed weights, the forward and the backward pass, the gradients of the weights.

The functions implement the `Backend` protocol, whose docstrings describe their arguments and results. `path_choice.py`
chooses between `resident.py`, all steps in one launch, and `steps.py`, launches for each step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import BackendError
from ..spec.dropout import Mask
from ..spec.variant import PLAIN, Variant
from . import columns, masks, path_choice, resident, steps
from .lazy_cupy import cp
from .packed import PackedLSTM
from .products import check_precision, multiply
from .tapes import Tape, kind_of, tape_for

Array = Any


def pack_lstm(
    W_x: Array,
    W_h: Array,
    b: Array,
    *,
    tokens: bool,
    precision: str = "",
    variant: Variant = PLAIN,
    packed: PackedLSTM | None = None,
) -> PackedLSTM:
    check_precision(precision, W_h.dtype)
    new = PackedLSTM if packed is None else packed.replace
    return new((W_x, W_h, b), tokens, precision, variant)


def _plan(packed: PackedLSTM, B: int) -> path_choice.Plan | None:
    variant = packed.variant
    if variant.gain is not None or variant.W_p is not None:
        path_choice.asked()
        return None
    return path_choice.choose(packed.hidden_size, B, packed.weights[1].dtype.itemsize, path_choice.device())


def _whole(a: Array) -> Array:
    """Return a C-contiguous array, as the kernels expect."""
    return a if a.flags.c_contiguous else a.copy()


def lstm_forward(
    x: Array, packed: PackedLSTM, h0: Array, c0: Array, *, mask: Mask | None = None, tape: Any = None
) -> tuple[Array, tuple[Array, Array], Tape]:
    if packed.tokens and x.dtype != np.int32:
        raise BackendError(f"token ids are {x.dtype}; expected int32")
    T, B = x.shape[:2]
    x, h0, c0, dtype = _whole(x), _whole(h0), _whole(c0), packed.weights[1].dtype
    tape = tape_for(kind_of(packed, T, B, mask is not None), tape)
    tape.start(x, packed.tokens, None if mask is None else masks.factors(mask, h0.shape, dtype))
    tape.plan = _plan(packed, B)
    if not packed.tokens:
        multiply(x.reshape(T * B, -1), packed.weights[0], tape.gates.reshape(T * B, -1), precision=packed.precision)
    if tape.plan is None:
        steps.forward(packed, tape, h0, c0)
    else:
        resident.forward(packed, tape, tape.plan, h0, c0)
    return tape.h[1:], (tape.h[T].copy(), tape.c[T].copy()), tape


def lstm_backward(
    dh: Array,
    packed: PackedLSTM,
    tape: Tape,
    dW_x: Array,
    dW_h: Array,
    db: Array,
    dvariant: Variant = PLAIN,
) -> tuple[Array | None, Array, Array]:
    dh = _whole(dh)
    if tape.plan is None:
        dh0, dc0 = steps.backward(packed, tape, dh, db, dvariant)
    else:
        dh0, dc0 = resident.backward(packed, tape, tape.plan, dh)
        columns.add_column_sums(tape.gates, db)  # z = ... + b
    return _add_weight_gradients(packed, tape, dW_x, dW_h), dh0, dc0


def _add_weight_gradients(packed: PackedLSTM, tape: Tape, dW_x: Array, dW_h: Array) -> Array | None:
    """Add the gradients from da, which overwrote the gates, to dW_x and dW_h; return dx, or None for token ids."""
    (T, B), R, precision = tape.shape, packed.state_size, packed.precision
    da = tape.gates.reshape(T * B, -1)
    multiply(tape.seen[:-1].reshape(T * B, R).T, da, dW_h, add=True, precision=precision)  # a = seen @ W_h + ...
    if packed.tokens:
        masks.embed_backward(da, tape.ids, dW_x)  # a = W_x[x] + ...
        return None
    multiply(tape.x.reshape(T * B, -1).T, da, dW_x, add=True, precision=precision)  # a = x @ W_x + ...
    dx = cp.empty(tape.x.shape, dW_x.dtype)
    multiply(da, packed.weights[0].T, dx.reshape(T * B, -1), precision=precision)  # a = x @ W_x + ...
    return dx
