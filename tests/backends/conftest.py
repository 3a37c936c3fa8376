"""Fixtures of the tests of the backends."""

from __future__ import annotations

import pytest

from numlstm.backends import registry
from numlstm.errors import BackendError
from tests import emulation

EMULATED = "gpu, emulated"


@pytest.hookimpl(tryfirst=True)  # before those with the mark are left out
def pytest_collection_modifyitems(items):
    """Leave to the slow proofs what would be compiled for a few tests alone.

    That is float32 on the emulated GPU, for which g++ compiles every text once more, and the CPU's kernel that draws
    by layers with options: the emulated GPU draws by them in the fast suite. Whether arrays may be written to matters
    only where they are NumPy's.
    """
    items[:] = [item for item in items if not ("[gpu" in item.name and "-read-only-" in item.name)]
    for item in items:
        drawn = item.name.startswith("test_drawing_follows_the_logits[cpu")
        if drawn or (f"[{EMULATED}" in item.name and "float32" in item.name):
            item.add_marker(pytest.mark.slow)


def _parameters():
    """Each backend but the reference by its name, and the one of the GPU once more on a device made of host memory."""
    for name in registry.names():
        if name == "gpu":
            yield pytest.param(name, marks=pytest.mark.gpu)
            yield EMULATED
        elif name != "reference":
            yield name


@pytest.fixture(scope="module", params=list(_parameters()))
def backend(request):
    """Each backend but the reference."""
    if request.param == EMULATED:
        if emulation.missing():
            pytest.skip(emulation.missing())
        with emulation.emulated():
            yield registry.load("gpu")
        return
    try:
        yield registry.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def threads():
    """Leave the CPU backend with as many threads as it starts with."""
    yield
    registry.load("cpu").set_threads(None)
