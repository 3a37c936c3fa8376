"""Fixtures for the backends under judgement."""

from __future__ import annotations

import pytest

from numlstm.backends import registry
from numlstm.errors import BackendError


@pytest.fixture(scope="module", params=registry.names())
def backend(request):
    """Each backend, on one thread, which is the fastest for such small cases."""
    try:
        backend = registry.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))
    backend.set_threads(1)
    yield backend
    backend.set_threads(None)


@pytest.fixture
def all_threads(backend):
    """Use all threads of the backend for one test."""
    backend.set_threads(None)
    yield
    backend.set_threads(1)
