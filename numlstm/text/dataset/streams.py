"""Cut a text's ids into a training part and a validation part, and into windows for truncated BPTT.

The ids become parallel streams, one per row of the batch. Window k + 1 of a stream goes on where window
k ended, so that the state of one is the right state to start the next from (Werbos 1990). Knows nothing
about characters, networks or state.
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

# Tokens that a stream reads before the memory of mapped ids is given back; at each window that would take 1 ms.
_HELD = 2**14


class Batches(Protocol):
    """How a text is read: `Streams`, or `windows.Windows`.

    An epoch goes from position 0 to `size`, in `steps_per_epoch` batches if it is read at one length; where `carries`
    is true the state after a batch is the right one to start the next from.
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
        """Return how many batches the rest of an epoch makes."""

    def batch(self, epoch: int, position: int) -> tuple[Window, Window, int]:
        """Return inputs and targets (T, B) at a position of an epoch, and the position after them.

        A function of its arguments alone, so that whoever keeps both numbers goes on exactly where it stopped.
        """

    def places(self, epoch: int, position: int) -> tuple[Starts, int, int]:
        """Return where in the ids the streams of that batch start (B), its length T and the position after it."""


def split(ids: AnyIds, val_split: float) -> tuple[AnyIds, AnyIds]:
    """Return the ids to train on and the ids to validate on: two views, the second the tail of `ids (N,)`.

    The tail has `val_split * N` ids, rounded, and may be empty. Raises `ConfigError` if `val_split` is
    not at least 0 and below 1.
    """
    if not 0.0 <= val_split < 1.0:
        raise ConfigError(f"val_split is {val_split!r}; expected a number of at least 0 and below 1")
    border = len(ids) - round(len(ids) * val_split)
    return ids[:border], ids[border:]


@dataclasses.dataclass(frozen=True, eq=False)
class Streams:
    """Read `ids (N,)` as `batch_size` contiguous streams, in windows of `seq_len` tokens.

    Stream b reads `ids[b * length : (b + 1) * length]` and predicts the id that follows each. Fewer than
    `batch_size` ids at the very end, which do not fill another column, are not predicted. Raises
    `ConfigError` if a size is below 1 and `CorpusError` if a stream would be empty.
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
        """The position at which an epoch ends: positions count what each stream has predicted."""
        return self.length

    def steps_from(self, position: int) -> int:
        """Return the number of windows from a position to the epoch's end."""
        return -(-(self.length - position) // self.seq_len)

    @property
    def tokens_per_epoch(self) -> int:
        """The number of positions that all streams together predict in an epoch."""
        return self.length * self.batch_size

    def window(self, index: int) -> tuple[Window, Window]:
        """Return inputs and targets `(T, B)` of window `index`: fresh, C-contiguous, time-major arrays.

        T is `seq_len`, in the last window of an epoch what remains. Raises `IndexError` if `index` is not
        in `range(steps_per_epoch)`.
        """
        if not 0 <= index < self.steps_per_epoch:
            raise IndexError(f"window {index} of an epoch of {self.steps_per_epoch}")
        return self.batch(0, index * self.seq_len)[:2]

    def batch(self, epoch: int, position: int) -> tuple[Window, Window, int]:
        """Return inputs and targets `(T, B)` from a position of any epoch on, and the position after them."""
        last = min(position + self.seq_len, self.length)
        return self._columns(0, position, last), self._columns(1, position, last), last

    def places(self, epoch: int, position: int) -> tuple[Starts, int, int]:
        """Return where the streams go on at a position of any epoch (B), how far, and the position after that."""
        last = min(position + self.seq_len, self.length)
        return np.arange(self.batch_size, dtype=np.int64) * self.length + position, last - position, last

    def _columns(self, shift: int, first: int, last: int) -> Window:
        rows = self.ids[shift : shift + self.tokens_per_epoch].reshape(self.batch_size, self.length)
        read = np.array(rows[:, first:last].T, np.int32, order="C")
        if first // _HELD != last // _HELD:
            release(self.ids)
        return read
