"""Fixtures of the tests of the GPU backend's parts: an emulated device, whose threads go in one order or another."""

from __future__ import annotations

import pytest
from emulation import emulated, missing

ORDERS = {"ascending": 0, "descending": 1, "shuffled": 7}


@pytest.fixture
def device():
    """An emulated device."""
    if missing():
        pytest.skip(missing())
    with emulated() as found:
        yield found


@pytest.fixture(params=ORDERS.values(), ids=ORDERS.keys())
def in_order(request, device):
    """The same with each of three orders of the threads of a block."""
    device.order = request.param
    return device
