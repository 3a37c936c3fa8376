"""Fixtures for the backend tests."""

from __future__ import annotations

import pytest

from numlstm.backends import registry
from numlstm.errors import BackendError
from tests import emulation

EMULATED = "gpu, emulated"


@pytest.hookimpl(tryfirst=True)  # before the marked tests are deselected
def pytest_collection_modifyitems(items):
    """Mark as slow the tests that compile a kernel for a few tests only.

    These are float32 on the emulated GPU, where g++ compiles every CUDA source again, and the CPU kernel that samples
    from layers with options, which the fast suite runs on the emulated GPU. Read-only inputs matter only for NumPy
    arrays, so the GPU tests for them are dropped.
    """
    items[:] = [item for item in items if not ("[gpu" in item.name and "-read-only-" in item.name)]
    for item in items:
        drawn = item.name.startswith("test_drawing_follows_the_logits[cpu")
        if drawn or (f"[{EMULATED}" in item.name and "float32" in item.name):
            item.add_marker(pytest.mark.slow)


def _parameters():
    """Yield every backend except the reference, and the GPU backend a second time on an emulated device."""
    for name in registry.names():
        if name == "gpu":
            yield pytest.param(name, marks=pytest.mark.gpu)
            yield EMULATED
        elif name != "reference":
            yield name


@pytest.fixture(scope="module", params=list(_parameters()))
def backend(request):
    """Every backend except the reference."""
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
    """Reset the CPU backend's thread count after the test."""
    yield
    registry.load("cpu").set_threads(None)
