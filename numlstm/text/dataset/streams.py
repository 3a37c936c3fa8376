"""Split a text's ids into a training part and a validation part, and into windows for truncated BPTT.

The ids become parallel streams, one per row of the batch. Window k + 1 of a stream continues where window k ended, so
the final state of one is the right initial state for the next (Werbos 1990).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, CorpusError
from .memory_map import release

AnyIds = npt.NDArray[np.integer[Any]]
Window = npt.NDArray[np.int32]
Starts = npt.NDArray[np.int64]

# Tokens that a stream reads before the memory of mapped ids is released; after every window, that would cost 1 ms.
_HELD = 2**14


class Batches(Protocol):
    """How a text is read: by `Streams` or `windows.Windows`.

    An epoch runs from position 0 to `size`, in `steps_per_epoch` batches if `seq_len` does not change. If `carries`,
    the state after a batch is the right initial state for the next.
    """

    @property
    def ids(self) -> AnyIds: ...

    @property
    def carries(self) -> bool: ...

    @property
    def size(self) -> int: ...

    @property
    def steps_per_epoch(self) -> int: ...

    def steps_from(self, position: int) -> int:
        """Return the number of batches from a position to the end of the epoch."""

    def batch(self, epoch: int, position: int) -> tuple[Window, Window, int]:
        """Return inputs and targets (T, B) at a position of an epoch, and the position after them.

        Depends on nothing but its arguments, so a run that stores both numbers resumes exactly where it stopped.
        """

    def places(self, epoch: int, position: int) -> tuple[Starts, int, int]:
        """Return where each row of that batch starts in the ids (B), the length T, and the position after the batch."""


def split(ids: AnyIds, val_split: float) -> tuple[AnyIds, AnyIds]:
    """Return the training ids and the validation ids: two views of `ids (N,)`, the second its tail.

    The tail has `val_split * N` ids, rounded, and may be empty. Raises `ConfigError` unless `val_split` is at least 0
    and below 1.
    """
    if not 0.0 <= val_split < 1.0:
        raise ConfigError(f"val_split is {val_split!r}; expected a number of at least 0 and less than 1")
    border = len(ids) - round(len(ids) * val_split)
    return ids[:border], ids[border:]


@dataclasses.dataclass(frozen=True, eq=False)
class Streams:
    """Read `ids (N,)` as `batch_size` contiguous streams, in windows of `seq_len` tokens.

    Stream b reads `ids[b * length : (b + 1) * length]` and predicts the id that follows each. The last ids, fewer than
    `batch_size`, do not fill another column and are not predicted. Raises `ConfigError` if a size is below 1 and
    `CorpusError` if a stream would be empty.
    """

    ids: AnyIds
    batch_size: int
    seq_len: int
    carries: bool = dataclasses.field(default=True, init=False)

    def __post_init__(self) -> None:
        for name in ("batch_size", "seq_len"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected a whole number from 1")
        if self.length < 1:
            raise CorpusError(
                f"the text has {len(self.ids)} tokens, too few for {self.batch_size} parallel streams; "
                f"expected at least {self.batch_size + 1}; lower `batch_size`, or give more text"
            )

    @property
    def length(self) -> int:
        """The number of positions that each stream predicts in an epoch."""
        return (len(self.ids) - 1) // self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """The number of windows in an epoch."""
        return self.steps_from(0)

    @property
    def size(self) -> int:
        """The position at which an epoch ends: positions count the tokens that each stream has predicted."""
        return self.length

    def steps_from(self, position: int) -> int:
        """Return the number of windows from a position to the end of the epoch."""
        return -(-(self.length - position) // self.seq_len)

    @property
    def tokens_per_epoch(self) -> int:
        """The number of positions that all streams together predict in an epoch."""
        return self.length * self.batch_size

    def window(self, index: int) -> tuple[Window, Window]:
        """Return inputs and targets `(T, B)` of window `index`: fresh, C-contiguous, time-major arrays.

        T is `seq_len`, or the remainder in the last window of an epoch. Raises `IndexError` if `index` is not in
        `range(steps_per_epoch)`.
        """
        if not 0 <= index < self.steps_per_epoch:
            raise IndexError(f"window {index} of an epoch of {self.steps_per_epoch}")
        return self.batch(0, index * self.seq_len)[:2]

    def batch(self, epoch: int, position: int) -> tuple[Window, Window, int]:
        """Return inputs and targets `(T, B)` at a position of any epoch, and the position after them."""
        last = min(position + self.seq_len, self.length)
        return self._columns(0, position, last), self._columns(1, position, last), last

    def places(self, epoch: int, position: int) -> tuple[Starts, int, int]:
        """Return where each stream continues at a position of any epoch (B), the length, and the position after it."""
        last = min(position + self.seq_len, self.length)
        return np.arange(self.batch_size, dtype=np.int64) * self.length + position, last - position, last

    def _columns(self, shift: int, first: int, last: int) -> Window:
        rows = self.ids[shift : shift + self.tokens_per_epoch].reshape(self.batch_size, self.length)
        read = np.array(rows[:, first:last].T, np.int32, order="C")
        if first // _HELD != last // _HELD:
            release(self.ids)
        return read
