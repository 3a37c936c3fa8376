"""Which entries dropout leaves out: a counter-based generator, the same on every device and after every resume.

A mask is a function of the run's seed, the step, the place in the network and nothing else, so a resumed run and
every backend see the same one. Knows nothing about layers or devices.

(Dropout: Srivastava et al. 2014; between layers: Zaremba et al. 2014; variational, one mask for a whole sequence: Gal &
Ghahramani 2016. Philox: Salmon et al. 2011.)
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 2**32


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
        return round(self.rate * _WORD)

    @property
    def counter(self) -> tuple[int, int, int]:
        """The counter's words after the first."""
        return self.place, self.step % _WORD, self.step // _WORD

    @property
    def key(self) -> tuple[int, int]:
        """The key's two words."""
        return self.seed % _WORD, self.seed // _WORD

    def factors(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
        """Return what the entries of an array of that shape are multiplied by: 0 or 1 / (1 - rate)."""
        size = int(np.prod(shape))
        words = philox(np.arange(-(-size // 4), dtype=np.uint64), self.counter, self.key).reshape(-1)[:size]
        return np.where(words < self.threshold, 0.0, 1 / (1 - self.rate)).astype(dtype).reshape(shape)


def philox(
    first: npt.NDArray[np.uint64], counter: tuple[int, int, int], key: tuple[int, int]
) -> npt.NDArray[np.uint64]:
    """Return the four 32-bit words (N, 4) of Philox4x32-10 for each counter (first, *counter)."""
    low, full = np.uint64(_WORD - 1), np.uint64(32)
    a, b, c, d = (np.broadcast_to(np.uint64(word), first.shape) for word in (0, *counter))
    a = first & low
    k, m = [np.uint64(word) for word in key], [np.uint64(word) for word in _MULTIPLIERS]
    for _ in range(_ROUNDS):
        left, right = a * m[0], c * m[1]
        a, b, c, d = (right >> full) ^ b ^ k[0], right & low, (left >> full) ^ d ^ k[1], left & low
        k = [np.uint64((int(word) + step) % _WORD) for word, step in zip(k, _KEY_STEPS, strict=True)]
    return np.stack([a, b, c, d], axis=-1)


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
