"""Which entries dropout leaves out: a counter-based generator, the same on every device and after every resume.

A mask is a function of the run's seed, the step, the place in the network and nothing else, so a resumed run and
every backend see the same one. Knows nothing about layers or arrays.

(Dropout: Srivastava et al. 2014; between layers: Zaremba et al. 2014; variational, one mask for a whole sequence: Gal &
Ghahramani 2016. Philox: Salmon et al. 2011.)
"""

from __future__ import annotations

import dataclasses


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


@dataclasses.dataclass(frozen=True)
class Dropout:
    """The masks of one training step: `rate` between layers and on the output, `recurrent` on h from step to step."""

    rate: float = 0.0
    recurrent: float = 0.0
    seed: int = 0
    step: int = 0

    def between(self, layer: int) -> Mask | None:
        """Return the mask of what a layer passes upward, (T, B, its h), None where there is no dropout."""
        return Mask(self.rate, self.seed, self.step, 2 * layer) if self.rate else None

    def within(self, layer: int) -> Mask | None:
        """Return the mask of the h that a layer reads from its own last step, (B, its h), the same at all steps."""
        return Mask(self.recurrent, self.seed, self.step, 2 * layer + 1) if self.recurrent else None
