"""What the kernels that draw are handed of the streams' settings, and the room they need.

The sizes here are those of `kernels/sampling.cuh`. Knows nothing about networks.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..protocol import Array
from ..spec.sampling import Sampling
from .lazy_cupy import cp
from .transfer import asarray

DESK = 328  # bytes of what a block's threads share, less the arrays of one place a thread
THREAD = 20  # bytes of those
TOKEN = 12  # bytes of a token's key and place, in shared memory where the vocabulary is small
SMALL = 1024  # tokens that are ordered by counting, the square of their number
MOST_THREADS = 256  # of a block; the kernels' texts promise the compiler no more


def draw_threads(units: int, vocabulary: int) -> int:
    """Return the threads of a block that draws: one for each unit and each token, or as many as share them evenly.

    Of the network's sizes alone, so that a stream's sums never change their order. Small ones get a part of a warp.
    """
    needed = max(units, min(vocabulary, MOST_THREADS))
    if needed <= 32:
        return max(8, 1 << (needed - 1).bit_length())
    each = math.ceil(needed / MOST_THREADS)
    return 32 * math.ceil(needed / each / 32)


def desk_bytes(threads: int, vocabulary: int) -> int:
    """Return the bytes of shared memory that drawing needs."""
    used = DESK + threads * THREAD + (vocabulary * TOKEN if vocabulary <= SMALL else 0)
    return -(-used // 16) * 16


class Drawing(NamedTuple):
    """The settings of B streams on the device: see SETTINGS in `kernels/sampling.cuh`."""

    numbers: Array
    top_k: Array
    recent: Array
    counts: Array
    window: int
    allowed: Array
    masked: bool
    keys: Array
    order: Array
    vocabulary: int
    threads: int
    blocks: int

    @classmethod
    def of(cls, sampling: Sampling, vocabulary: int, threads: int, blocks: int) -> Drawing:
        """Bring settings to the device, with room for so many blocks to order tokens in."""
        nothing = asarray(np.zeros(1, np.int32))
        window = sampling.recent.shape[1] if (sampling.penalty != 1).any() else 0
        cut = bool(((sampling.top_k > 0) | (sampling.top_p < 1)).any())
        places = 1 << (vocabulary - 1).bit_length()
        room = blocks if cut and vocabulary > SMALL else 0
        allowed = np.zeros(1, np.uint8) if sampling.allowed is None else sampling.allowed.view(np.uint8)
        return cls(
            asarray(np.stack([sampling.temperature, sampling.top_p, sampling.min_p, sampling.penalty]), np.float64),
            asarray(np.minimum(sampling.top_k, vocabulary), np.int32),
            asarray(sampling.recent, np.int32) if window else nothing,
            asarray(_counts(sampling.recent, vocabulary)) if window else nothing,
            window,
            asarray(allowed),
            sampling.allowed is not None,
            cp.empty(max(room * vocabulary, 1), np.uint64),
            cp.empty(max(room * places, 1), np.int32),
            vocabulary,
            threads,
            blocks,
        )

    def arguments(self) -> tuple[Any, ...]:
        """Return what a kernel takes for SETTINGS."""
        return (
            self.numbers,
            self.top_k,
            self.recent,
            self.counts,
            np.int32(self.window),
            self.allowed,
            np.int32(self.masked),
            self.keys,
            self.order,
            np.int32(self.vocabulary <= SMALL),
        )


def _counts(recent: npt.NDArray[np.int32], vocabulary: int) -> npt.NDArray[np.int32]:
    """Return how often each token (B, V) is among the recent of a stream (B, W)."""
    counts = np.zeros((len(recent), vocabulary), np.int32)
    streams, places = np.nonzero(recent >= 0)
    np.add.at(counts, (streams, recent[streams, places]), 1)
    return counts
