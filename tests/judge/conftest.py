"""The backends that the judge looks at."""

from __future__ import annotations

import pytest

from numlstm.backends import registry
from numlstm.errors import BackendError


@pytest.fixture(scope="module", params=registry.names())
def backend(request):
    """A backend on one thread, which is the fastest for what is so small."""
    try:
        backend = registry.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))
    backend.set_threads(1)
    yield backend
    backend.set_threads(None)


@pytest.fixture
def all_threads(backend):
    """All threads of the backend, for one test."""
    backend.set_threads(None)
    yield
    backend.set_threads(1)
