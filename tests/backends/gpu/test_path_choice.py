"""Which path a layer takes: block sizes, shared memory use, and where the paths switch."""

from __future__ import annotations

import pytest

from numlstm.backends.gpu import path_choice
from numlstm.backends.gpu.path_choice import Device, block_shape, choose, resident_plan
from numlstm.errors import BackendError

LARGE = Device(multiprocessors=132, shared=227 * 1024)
SMALL = Device(multiprocessors=20, shared=99 * 1024)
OLD = Device(multiprocessors=40, shared=64 * 1024)
CARDS = [LARGE, SMALL, OLD]
SIZES = [1, 2, 7, 8, 15, 16, 31, 32, 33, 64, 65, 100, 128, 129, 200, 256, 257, 300, 512, 1000, 1024, 2000]


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    monkeypatch.delenv(path_choice.VARIABLE, raising=False)


@pytest.mark.parametrize("H", SIZES)
def test_a_block_has_whole_warps_and_slices_worth_having(H):
    units, slices = block_shape(H)
    assert units % 32 == 0
    assert min(H, path_choice.MOST_UNITS) <= units <= path_choice.MOST_UNITS
    assert units * slices <= path_choice.MOST_THREADS
    assert slices & (slices - 1) == 0
    assert slices == 1 or H // slices >= path_choice.SLICE


def test_small_layers_have_more_slices():
    assert [block_shape(H).slices for H in (8, 16, 32, 64, 128, 256, 512)] == [1, 2, 4, 8, 4, 2, 2]


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("card", CARDS, ids=str)
@pytest.mark.parametrize("H", SIZES)
def test_shared_memory_holds_what_the_kernels_lay_out(H, card, itemsize):
    """The plan matches kernels/recurrence.cu: as many weight rows as fit, beside the other buffers."""
    (units, slices), four = block_shape(H), 4 * itemsize
    for rows in path_choice.ROWS:
        plan = resident_plan(H, rows, itemsize, card)
        parts = slices * rows * units
        bare = (four * parts + 3 * H * rows * itemsize, four * H * rows + (parts + 2 * rows * H) * itemsize)
        if plan is None:
            assert max(bare) > card.shared
            continue
        for launch, least in zip((plan.forward, plan.backward), bare, strict=True):
            row = slices * H * four
            assert launch.shared == least + launch.kept * row <= card.shared
            assert 0 <= launch.kept <= -(-H // slices)
            assert launch.kept == -(-H // slices) or launch.shared + row > card.shared, "one more row would fit"


@pytest.mark.parametrize("card", CARDS, ids=str)
@pytest.mark.parametrize("B", [1, 16, 64, 256])
def test_the_border_lies_between_64_and_1024_units(card, B):
    assert choose(64, B, 4, card) is not None
    assert choose(1024, B, 4, card) is None


def test_along_h_the_path_changes_once():
    for card in CARDS:
        for B in (1, 64):
            resident = [choose(H, B, 4, card) is not None for H in range(8, 1024, 8)]
            assert resident == sorted(resident, reverse=True)


@pytest.mark.parametrize(("B", "rows"), [(1, 1), (132, 1), (133, 2), (264, 2), (265, 4), (528, 4)])
def test_blocks_own_more_rows_where_that_saves_a_round(B, rows):
    assert choose(64, B, 4, LARGE).rows == rows


@pytest.mark.parametrize("path", path_choice.PATHS)
def test_the_variable_overrides(monkeypatch, path):
    monkeypatch.setenv(path_choice.VARIABLE, path)
    for H in (8, 1024):
        assert (choose(H, 4, 4, LARGE) is not None) == (path == "resident")


def test_the_variable_may_be_wrong_and_may_be_empty(monkeypatch):
    monkeypatch.setenv(path_choice.VARIABLE, "fast")
    with pytest.raises(BackendError, match="NUMLSTM_GPU_PATH is 'fast'; expected resident or steps, or leave it out"):
        choose(8, 4, 4, LARGE)
    monkeypatch.setenv(path_choice.VARIABLE, "")
    assert choose(8, 4, 4, LARGE) is not None


def test_a_layer_that_does_not_fit_goes_step_by_step(monkeypatch):
    tiny = Device(multiprocessors=1, shared=1024)
    assert choose(64, 1, 4, tiny) is None
    monkeypatch.setenv(path_choice.VARIABLE, "resident")
    with pytest.raises(BackendError, match="a layer of 64 units does not fit the 1024 bytes of shared memory"):
        choose(64, 1, 4, tiny)


def test_rows_that_do_not_fit_are_not_taken(monkeypatch):
    """On a card with one multiprocessor, where blocks own as many rows as possible."""
    monkeypatch.setenv(path_choice.VARIABLE, "resident")
    everything = Device(1, 2**40)
    assert choose(64, 64, 8, everything).rows == 4
    plan = resident_plan(64, 2, 8, everything)
    bare = max(part.shared - part.kept * plan.shape.slices * 64 * 32 for part in plan[2:])
    for spare, rows in ((0, 2), (-1, 1)):
        assert choose(64, 64, 8, Device(1, bare + spare)).rows == rows


def test_what_is_known_of_the_device(device):
    device.card.processors, device.card.shared_per_block = 17, 50_000
    assert path_choice.device() == Device(17, 50_000)
