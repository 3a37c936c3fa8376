"""Feed a run's batches to the device: from a text held on the device, or batch by batch from host memory or disk.

A device that queues its work computes one batch while the host reads the next.
"""

from __future__ import annotations

from ..backends.protocol import Array, Backend
from ..errors import CorpusError
from ..text.dataset.memory_map import release
from ..text.dataset.streams import AnyIds, Batches

_CHECKED = 2**24  # ids checked at a time


class Feed:
    """The batches of a text on a device.

    The constructor or `batch` raises `CorpusError` if the text has ids outside the vocabulary.
    """

    def __init__(self, reader: Batches, backend: Backend, vocab_size: int) -> None:
        self.reader, self.backend = reader, backend
        self._text = backend.hold(reader.ids)
        if self._text is not None:
            _check(reader.ids, vocab_size)
            release(reader.ids)
        self._vocab_size = vocab_size

    def batch(self, epoch: int, position: int) -> tuple[Array, Array, int]:
        """Return inputs and targets (T, B) on the device at a position of an epoch, and the next position."""
        if self._text is not None:
            starts, length, after = self.reader.places(epoch, position)
            return *self.backend.window(self._text, starts, length), after
        ids, targets, after = self.reader.batch(epoch, position)
        for read in (ids, targets):
            _check(read, self._vocab_size)
        return self.backend.asarray(ids), self.backend.asarray(targets), after


def _check(ids: AnyIds, vocab_size: int) -> None:
    flat = ids.reshape(-1)
    for first in range(0, len(flat), _CHECKED):
        part = flat[first : first + _CHECKED]
        if int(part.max()) >= vocab_size or int(part.min()) < 0:
            raise CorpusError(
                f"the encoded text has ids from {part.min()} to {part.max()}; expected 0 to {vocab_size - 1}: "
                "its file in the cache is damaged: delete it, and it is rebuilt"
            )
