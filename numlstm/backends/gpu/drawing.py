"""The streams' settings as arguments of the kernels that draw, and the memory that these need.

The sizes here must match `kernels/sampling.cuh`.
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

SCRATCH_BYTES = 328  # bytes that a block's threads share, without the per-thread arrays
THREAD = 20  # bytes per thread of those arrays
TOKEN = 12  # bytes of a token's key and rank, in shared memory if the vocabulary is small
SMALL = 1024  # the most tokens that are sorted by counting, which takes quadratic time
MOST_THREADS = 256  # per block; the kernels' launch bounds allow no more


def draw_threads(units: int, vocabulary: int) -> int:
    """Return the number of threads of a block that draws: one per unit and token, or enough to share them evenly.

    It depends only on the network's sizes, so the order of a stream's sums never changes. Small networks get less than
    a warp.
    """
    needed = max(units, min(vocabulary, MOST_THREADS))
    if needed <= 32:
        return max(8, 1 << (needed - 1).bit_length())
    each = math.ceil(needed / MOST_THREADS)
    return 32 * math.ceil(needed / each / 32)


def scratch_bytes(threads: int, vocabulary: int) -> int:
    """Return the bytes of shared memory that drawing needs."""
    used = SCRATCH_BYTES + threads * THREAD + (vocabulary * TOKEN if vocabulary <= SMALL else 0)
    return -(-used // 16) * 16


class Drawing(NamedTuple):
    """The settings of B streams on the device: SETTINGS in `kernels/sampling.cuh` describes the arrays."""

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
        """Copy settings to the device, and allocate memory for `blocks` blocks to sort tokens in."""
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
        """Return the kernel arguments for SETTINGS."""
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
    """Return how often each token (B, V) occurs in a stream's recent tokens (B, W)."""
    counts = np.zeros((len(recent), vocabulary), np.int32)
    streams, places = np.nonzero(recent >= 0)
    np.add.at(counts, (streams, recent[streams, places]), 1)
    return counts
