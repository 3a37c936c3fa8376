"""The ladder: what of the GPU's backend can be verified without a GPU, rung by rung."""

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
    """The same, with the threads of a block going in that order."""
    device.order = request.param
    return device
