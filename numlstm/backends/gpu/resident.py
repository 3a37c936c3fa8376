"""The one-launch path of a layer over a sequence: all of its steps in one launch, forward and backward.

Launches the kernels of `kernels/recurrence.cu`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .lazy_cupy import cp
from .modules import launch
from .packed import PackedLSTM
from .path_choice import Plan
from .tapes import Tape

Array = Any
FILE = "recurrence"


def forward(packed: PackedLSTM, tape: Tape, plan: Plan, h0: Array, c0: Array) -> None:
    """Fill gates, c, h and, with a mask, seen; unless the input is token ids, `gates` must hold x W_x."""
    W_x, W_h, b = packed.weights
    T, B = tape.shape
    arguments = (
        tape.ids,
        W_x,
        b,
        packed.panels()[0],
        tape.mask,
        h0,
        c0,
        tape.gates,
        tape.h,
        tape.seen,
        tape.c,
        *map(np.int32, (T, B, packed.hidden_size, plan.forward.kept, packed.tokens, tape.masked, packed.variant.hard)),
    )
    _launch(f"forward_{plan.rows}", W_h.dtype, B, plan, arguments, plan.forward.shared)


def backward(packed: PackedLSTM, tape: Tape, plan: Plan, dh: Array) -> tuple[Array, Array]:
    """Overwrite the gates with dz, the gradient of their inputs; return dh0 and dc0."""
    T, B = tape.shape
    dh0, dc0 = cp.empty(tape.h.shape[1:], tape.h.dtype), cp.empty(tape.c.shape[1:], tape.c.dtype)
    arguments = (
        dh,
        packed.panels()[1],
        tape.mask,
        tape.c,
        tape.gates,
        dh0,
        dc0,
        *map(np.int32, (T, B, packed.hidden_size, plan.backward.kept, tape.masked, packed.variant.hard)),
    )
    _launch(f"backward_{plan.rows}", dh.dtype, B, plan, arguments, plan.backward.shared)
    return dh0, dc0


def _launch(name: str, dtype: Any, B: int, plan: Plan, arguments: tuple[Any, ...], shared: int) -> None:
    launch(FILE, name, dtype, (-(-B // plan.rows),), plan.shape, arguments, shared=shared)
