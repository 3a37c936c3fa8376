"""Dropout masks: the generator against its published answers, and what a mask depends on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from numlstm.backends.spec.dropout import Dropout, Mask
from numlstm.backends.spec.philox import philox

_ONES = 2**32 - 1
# Counter, key and four output words: the known answers distributed with Random123 (Salmon et al. 2011).
ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((_ONES,) * 4, (_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), ANSWERS)
def test_philox_gives_the_published_answers(counter, key, words):
    assert philox(counter, key).tolist() == list(words)


def test_numpy_s_philox_gives_the_same_uniform_share():
    """The share of dropped entries matches the rate to five standard deviations, over 10^6 draws."""
    for rate in (0.01, 0.3, 0.9):
        factors = Mask(rate, 0, 1, 2).factors((1000, 1000), "float64")
        assert set(np.unique(factors)) == {0.0, 1 / (1 - rate)}
        assert (factors == 0).mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / 1e6))


def test_a_mask_depends_on_seed_step_and_place_alone():
    base = {"rate": 0.5, "seed": 5, "step": 7, "place": 1}
    others = [{**base, "seed": 6}, {**base, "seed": 5 + 2**32}, {**base, "step": 8}, {**base, "step": 7 + 2**32}]
    others += [{**base, "place": 2}]
    masks = [Mask(**chosen).factors((16, 16), "float32") for chosen in (base, *others)]
    np.testing.assert_array_equal(Mask(**base).factors((16, 16), "float32"), masks[0])
    for a, b in itertools.combinations(masks, 2):
        assert 0.3 < (a != b).mean() < 0.7


def test_a_longer_array_begins_as_a_shorter_one():
    mask = Mask(0.5, 1, 2, 3)
    np.testing.assert_array_equal(mask.factors((7, 9), "float32")[:3], mask.factors((3, 9), "float32"))


def test_each_place_in_the_network_has_a_mask_of_its_own():
    dropout = Dropout(0.5, 0.5, seed=1, step=2)
    places = [mask.place for layer in range(4) for mask in (dropout.between(layer), dropout.within(layer))]
    assert len(set(places)) == 8
    assert Dropout(0.0, 0.0).between(0) is None
    assert Dropout(0.0, 0.0).within(0) is None
