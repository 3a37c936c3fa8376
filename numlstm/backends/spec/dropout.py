"""Which entries dropout leaves out: a counter-based generator, the same on every device and after every resume.

A mask is a function of the run's seed, the step, the place in the network and nothing else, so a resumed run and
every backend see the same one. Knows nothing about layers or devices.

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
    """One mask: entries are left out with probability `rate`, the others times 1 / (1 - rate).

    Entry n of an array in C order is word n % 4 of Philox4x32-10 with the key (seed's low and high 32 bits) and
    the counter (n // 4, place, step's low and high 32 bits); it is left out where the word is below rate * 2^32.
    """

    rate: float
    seed: int
    step: int
    place: int

    @property
    def threshold(self) -> int:
        """The word below which an entry is left out."""
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
        """Return what the entries of an array of that shape are multiplied by: 0 or 1 / (1 - rate)."""
        size = int(np.prod(shape))
        words = philox((np.arange(-(-size // 4)), *self.counter), self.key).reshape(-1)[:size]
        return np.where(words < self.threshold, 0.0, 1 / (1 - self.rate)).astype(dtype).reshape(shape)


@dataclasses.dataclass(frozen=True)
class Dropout:
    """The masks of one training step: `rate` from each layer to the next, `recurrent` from step to step within layers.

    The embedding, if there is one, counts as a layer below, the output as one above.
    """

    rate: float = 0.0
    recurrent: float = 0.0
    seed: int = 0
    step: int = 0

    def between(self, layer: int) -> Mask | None:
        """Return the mask of what a layer, -1 being the embedding, passes upward, (T, B, its h), None where none is."""
        return Mask(self.rate, self.seed, self.step, 2 * layer + 2) if self.rate else None

    def within(self, layer: int) -> Mask | None:
        """Return the mask of the h that a layer reads from its own last step, (B, its h), the same at all steps."""
        return Mask(self.recurrent, self.seed, self.step, 2 * layer + 3) if self.recurrent else None
