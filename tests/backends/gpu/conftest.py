"""Fixtures of the ladder: the tests, rung by rung, that verify the GPU backend without a GPU."""

from __future__ import annotations

import pytest

from tests import emulation
from tests.backends.gpu.parameters import ORDERS


@pytest.fixture
def device():
    """A fresh emulated device."""
    if emulation.missing():
        pytest.skip(emulation.missing())
    with emulation.emulated() as device:
        yield device


@pytest.fixture(params=ORDERS, ids=["ascending", "descending", "shuffled"])
def in_order(request, device):
    """The same, running the threads of a block in the given order."""
    device.order = request.param
    return device
