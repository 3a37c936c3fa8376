"""Random windows of a text, in a different order each epoch: the alternative to streams.

The order is a permutation computed entry by entry, so it takes no memory however long the text is, and any batch of any
epoch can be computed directly.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, CorpusError
from .memory_map import release
from .streams import AnyIds, Starts, Window

Whole = npt.NDArray[Any]  # of uint64

_HELD = 8  # batches read before the memory of mapped ids is released: each window takes 64 kB of it
_ROUNDS = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Read `ids (N,)` as windows of `seq_len` tokens in random order, `batch_size` of them side by side.

    Windows start every `step` tokens (0: every `seq_len`); each epoch draws the start of the first one, below `step`.
    An epoch has `epoch_steps` batches (0: as many as the windows fill, at least one). If it needs more windows than
    there are, they start over in another order. Positions count batches. The state must be zero at the start of each
    window. Raises `ConfigError` if a size is below 1 and `CorpusError` if the text is shorter than a window and the
    token after it.
    """

    ids: AnyIds
    batch_size: int
    seq_len: int
    step: int = 0
    epoch_steps: int = 0
    seed: int = 0
    carries: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self) -> None:
        for name in ("batch_size", "seq_len"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected a whole number from 1")
        if len(self.ids) <= self.seq_len:
            raise CorpusError(
                f"the text has {len(self.ids)} tokens, too few for a window of {self.seq_len}; "
                f"expected at least {self.seq_len + 1}; lower `seq_len`, or give more text"
            )

    @property
    def firsts(self) -> int:
        """The number of tokens at which the first window of an epoch may start."""
        return min(self.step or self.seq_len, len(self.ids) - self.seq_len)

    @property
    def count(self) -> int:
        """The number of windows that fit even if the first one starts as late as possible."""
        return (len(self.ids) - self.seq_len - self.firsts) // (self.step or self.seq_len) + 1

    @property
    def size(self) -> int:
        """The number of batches in an epoch."""
        return self.epoch_steps or max(1, self.count // self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch."""
        return self.size

    def steps_from(self, position: int) -> int:
        """Return the number of batches from a position to the end of the epoch."""
        return self.size - position

    def batch(self, epoch: int, position: int) -> tuple[Window, Window, int]:
        """Return inputs and targets `(T, B)` of the batch at a position of an epoch, and the position after it."""
        starts = self.starts(epoch, position)
        places = np.arange(self.seq_len + 1)[:, None] + starts
        read = np.asarray(self.ids[places.ravel()], np.int32).reshape(places.shape)
        if position % _HELD == 0:
            release(self.ids)
        return np.ascontiguousarray(read[:-1]), np.ascontiguousarray(read[1:]), position + 1

    def places(self, epoch: int, position: int) -> tuple[Starts, int, int]:
        """Return where each window of a batch starts (B), their length, and the position after the batch."""
        return self.starts(epoch, position), self.seq_len, position + 1

    def starts(self, epoch: int, position: int) -> Starts:
        """Return where each window of a batch starts `(B,)`."""
        cycles, indices = np.divmod(np.arange(self.batch_size) + position * self.batch_size, self.count)
        found = np.empty(self.batch_size, np.int64)
        for cycle in np.unique(cycles):  # only one, unless the windows of an epoch start over in this batch
            within = cycles == cycle
            found[within] = permute(indices[within], self.count, (self.seed, epoch, int(cycle)))
        first = int(permute(np.zeros(1, np.int64), self.firsts, (self.seed, epoch, 0, 1))[0])
        return found * (self.step or self.seq_len) + first


def permute(indices: npt.NDArray[np.int64], count: int, key: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Map indices by a permutation of range(count); each key selects another permutation.

    A Feistel network permutes the cells of a table slightly larger than `count`. A result of `count` or more is
    permuted again until it falls below (cycle walking, Black & Rogaway 2002).
    """
    rows = math.isqrt(count - 1) + 1
    shape = (np.uint64(rows), np.uint64(-(-count // rows)))
    keys = np.asarray(np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64), np.uint64)
    found = _mixed(indices.astype(np.uint64), shape, keys)
    while (beyond := found >= count).any():
        found[beyond] = _mixed(found[beyond], shape, keys)
    return found.astype(np.int64)


def _mixed(places: Whole, shape: tuple[np.uint64, np.uint64], keys: Whole) -> Whole:
    """Permute the cells of a table: rounds alternately shift the row and the column, each by a hash of the other."""
    rows, columns = shape
    row, column = np.divmod(places, columns)
    for n, key in enumerate(keys):
        if n % 2:
            column = (column + _hash(row ^ key) % columns) % columns
        else:
            row = (row + _hash(column ^ key) % rows) % rows
    joined: Whole = row * columns + column
    return joined


def _hash(x: Whole) -> Whole:
    """Mix 64 bits: the finalizer of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Whole = x ^ (x >> np.uint64(31))
    return mixed
