"""A layer's weights as the kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..spec.variant import Variant
from .lazy_cupy import cp
from .modules import blocks_for, launch

Array = Any


class PackedLSTM:
    """A layer's weights (W_x, W_h, b), used in place, and copies of W_h in the layout that the one-launch path reads.

    The copies are made on first use after `mark_stale`; layers that run step by step never need them.
    """

    def __init__(self, weights: tuple[Array, Array, Array], tokens: bool, precision: str, variant: Variant) -> None:
        self.weights, self.tokens, self.precision, self.variant = weights, tokens, precision, variant
        self._panels: tuple[Array, Array] | None = None
        self._fresh = False

    @property
    def input_size(self) -> int:
        return int(self.weights[0].shape[0])

    @property
    def hidden_size(self) -> int:
        return int(self.weights[2].shape[0]) // 4

    @property
    def state_size(self) -> int:
        """The size of h: the same as that of c, unless the layer has a projection."""
        return int(self.weights[1].shape[0])

    def mark_stale(self) -> None:
        """Mark the copies as outdated: the weights have changed."""
        self._fresh = False

    def replace(
        self, weights: tuple[Array, Array, Array], tokens: bool, precision: str, variant: Variant
    ) -> PackedLSTM:
        """Return the packed weights of other arrays, which take over this one's memory if it fits."""
        packed = PackedLSTM(weights, tokens, precision, variant)
        if self._panels is not None and (self._panels[0].size, self._panels[0].dtype) == (
            weights[1].size,
            weights[1].dtype,
        ):
            packed._panels = self._panels
        return packed

    def panels(self) -> tuple[Array, Array]:
        """Return W_h packed for the forward and the backward pass of the one-launch path."""
        W_h, H = self.weights[1], self.hidden_size
        if self._panels is None:
            self._panels = cp.empty(4 * H * H, W_h.dtype), cp.empty(4 * H * H, W_h.dtype)
        if not self._fresh:
            launch("recurrence", "pack", W_h.dtype, blocks_for(H * H, 256), (256,), (W_h, *self._panels, np.int32(H)))
            self._fresh = True
        return self._panels
