"""Fixtures of the tests of the backends."""

from __future__ import annotations

import pytest

from numlstm import backends
from numlstm.errors import BackendError


@pytest.fixture(scope="module", params=[name for name in backends.names() if name != "reference"])
def backend(request):
    """Each backend but the reference."""
    try:
        return backends.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def threads():
    """Leave the CPU backend with as many threads as it starts with."""
    yield
    backends.load("cpu").set_threads(None)
