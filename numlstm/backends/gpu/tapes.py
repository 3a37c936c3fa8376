"""Tapes: what the backward pass needs from the forward pass, in memory that passes of the same kind reuse."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .lazy_cupy import cp
from .packed import PackedLSTM
from .path_choice import Plan

Array = Any


class Kind(NamedTuple):
    """What a tape's memory depends on: T, B, the sizes of the layer's c and h, its dtype and its features."""

    T: int
    B: int
    H: int
    R: int
    dtype: str
    masked: bool
    normed: bool
    projected: bool


def kind_of(packed: PackedLSTM, T: int, B: int, masked: bool) -> Kind:
    """Return the kind of tape for a pass of that layer over (T, B)."""
    variant = packed.variant
    dtype = packed.weights[1].dtype.name
    normed, projected = variant.gain is not None, variant.W_p is not None
    return Kind(T, B, packed.hidden_size, packed.state_size, dtype, masked, normed, projected)


class Tape:
    """The arrays of one pass. Row 0 of h, seen and c (T + 1, ...) is the state before the first step.

    gates (T, B, 4H) holds the input's part of the gates, then their values, then the gradient of their inputs. `seen`
    is the h that the layer reads: h itself, or h times the mask (B, R). With layer norm, n (T, B, 4H) and scale
    (T, B, 4) are the normalised gate inputs and their scales, n_c (T, B, H) and c_scale (T, B) the same for the cell.
    The backward pass writes dz (T, B, 4H) and dn_c (T, B, H), the gradients of gain * n + b and c_gain * n_c + c_bias.
    With a projection, m (T, B, H) is its input.
    """

    def __init__(self, kind: Kind) -> None:
        T, B, H, R, dtype = kind[:5]
        self.kind, self.shape, self.masked = kind, (T, B), kind.masked
        self.plan: Plan | None = None  # that the forward pass used, None: step by step
        self.x: Array = None
        self.ids = self._no_ids = cp.empty(1, np.int32)
        self.gates = cp.empty((T, B, 4 * H), dtype)
        self.c, self.h = cp.empty((T + 1, B, H), dtype), cp.empty((T + 1, B, R), dtype)
        self.seen = cp.empty((T + 1, B, R), dtype) if kind.masked else self.h
        self.mask: Array = self.h  # read only if masked
        self.m = cp.empty((T, B, H), dtype) if kind.projected else self.h[1:]
        if kind.normed:
            self.n, self.scale = cp.empty((T, B, 4 * H), dtype), cp.empty((T, B, 4), dtype)
            self.n_c, self.c_scale = cp.empty((T, B, H), dtype), cp.empty((T, B), dtype)
            self.dz, self.dn_c = cp.empty((T, B, 4 * H), dtype), cp.empty((T, B, H), dtype)

    @property
    def masks_cell_output(self) -> bool:
        """True if the mask applies to the cells' output; with a projection it applies to the projected h instead."""
        return self.masked and not self.kind.projected

    def start(self, x: Array, tokens: bool, mask: Array) -> None:
        """Set the layer's input, token ids (T, B) or activations (T, B, D), and its mask, (B, R) or None."""
        self.x = x
        self.ids = x if tokens else self._no_ids
        if self.masked:
            self.mask = mask


def tape_for(kind: Kind, tape: Any) -> Tape:
    """Return `tape` if it is of that kind, else a new one."""
    return tape if isinstance(tape, Tape) and tape.kind == kind else Tape(kind)
