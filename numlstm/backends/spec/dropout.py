"""Dropout masks from a counter-based generator: the same on every device and in a resumed run.

A mask depends only on the run's seed, the step and the place in the network.

(Dropout: Srivastava et al. 2014; between layers: Zaremba et al. 2014; variational, one mask for a whole sequence: Gal &
Ghahramani 2016.)
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from .philox import WORD, philox


@dataclasses.dataclass(frozen=True)
class Mask:
    """One mask: entries are dropped with probability `rate`, the others multiplied by 1 / (1 - rate).

    Entry n of an array in C order uses word n % 4 of Philox4x32-10 with the key (seed's low and high 32 bits) and the
    counter (n // 4, place, step's low and high 32 bits). It is dropped if that word is below rate * 2^32.
    """

    rate: float
    seed: int
    step: int
    place: int

    @property
    def threshold(self) -> int:
        """Entries whose word is below this are dropped."""
        return round(self.rate * WORD)

    @property
    def counter(self) -> tuple[int, int, int]:
        """The counter's words after the first."""
        return self.place, self.step % WORD, self.step // WORD

    @property
    def key(self) -> tuple[int, int]:
        """The key's two words."""
        return self.seed % WORD, self.seed // WORD

    def factors(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
        """Return the factors for an array of that shape: 0 or 1 / (1 - rate)."""
        size = int(np.prod(shape))
        words = philox((np.arange(-(-size // 4)), *self.counter), self.key).reshape(-1)[:size]
        return np.where(words < self.threshold, 0.0, 1 / (1 - self.rate)).astype(dtype).reshape(shape)


@dataclasses.dataclass(frozen=True)
class Dropout:
    """The masks of one training step: `rate` between layers, `recurrent` between the steps of a layer.

    The embedding, if any, counts as the layer below the first, the output as the layer above the last.
    """

    rate: float = 0.0
    recurrent: float = 0.0
    seed: int = 0
    step: int = 0

    def between(self, layer: int) -> Mask | None:
        """Return the mask of the output (T, B, R) of a layer, -1 for the embedding; None if `rate` is 0."""
        return Mask(self.rate, self.seed, self.step, 2 * layer + 2) if self.rate else None

    def within(self, layer: int) -> Mask | None:
        """Return the mask of a layer's recurrent h (B, R), the same at all steps; None if `recurrent` is 0."""
        return Mask(self.recurrent, self.seed, self.step, 2 * layer + 3) if self.recurrent else None
