"""Feed gives the same batches whether the device holds the text or not, and rejects ids beyond the vocabulary."""

from __future__ import annotations

import types

import numpy as np
import pytest

from numlstm.backends import reference
from numlstm.errors import CorpusError
from numlstm.text.dataset.streams import Streams
from numlstm.text.dataset.windows import Windows
from numlstm.training.data_feed import Feed

IDS = np.random.default_rng(0).integers(0, 50, 1000).astype(np.uint8)
READERS = [Streams(IDS, 3, 7), Windows(IDS, 4, 9, seed=2), Windows(IDS, 4, 9, step=3, epoch_steps=60)]


def holding():
    """Return a device that accepts every text."""
    offered = {name: getattr(reference, name) for name in ("asarray", "window")}
    return types.SimpleNamespace(**offered, hold=np.array)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: type(reader).__name__)
def test_a_text_that_is_held_gives_the_batches_of_one_that_is_not(reader):
    held, sent = Feed(reader, holding(), 50), Feed(reader, reference, 50)
    for epoch, position in ((0, 0), (0, 7), (3, 14), (1, reader.size - 1)):
        found, expected = held.batch(epoch, position), sent.batch(epoch, position)
        for ids, others in zip(found[:2], expected[:2], strict=True):
            assert ids.dtype == np.int32
            np.testing.assert_array_equal(ids, others)
        assert found[2] == expected[2]
        np.testing.assert_array_equal(found[0][1:], found[1][:-1])


def test_ids_beyond_the_vocabulary_are_refused():
    reader = Streams(IDS, 3, 7)
    with pytest.raises(CorpusError, match=r"ids from 0 to 49; expected 0 to 48: .* cache .* delete it"):
        Feed(reader, holding(), 49)
    feed = Feed(reader, reference, 3)
    with pytest.raises(CorpusError, match="expected 0 to 2"):
        feed.batch(0, 0)
