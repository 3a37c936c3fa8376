"""The probe and the device's facts on the emulated device: the probe runs its kernel and product, which can fail."""

from __future__ import annotations

import pytest

from tests import emulation

if emulation.missing():
    pytest.skip(emulation.missing(), allow_module_level=True)

from numlstm.backends.gpu import device as facts
from numlstm.backends.gpu import modules, probe
from numlstm.backends.gpu.description import about


@pytest.fixture(autouse=True)
def asked_anew():
    """Clear the caches before and after, so that facts about the emulated device do not leak into other tests."""
    kept = (probe.available, facts._facts, modules.kernel, modules._module)
    for each in kept:
        each.cache_clear()
    yield
    for each in kept:
        each.cache_clear()


def test_a_device_that_works(device):
    assert probe.available() == ""
    assert device.counts.launches == 1
    assert device.counts.products == 1


def test_a_kernel_that_computes_something_else_is_found(device, monkeypatch):
    text = modules.text
    monkeypatch.setattr(modules, "text", lambda name: text(name).replace("(REAL)3", "(REAL)2"))
    assert probe.available().startswith("a test kernel gave wrong numbers")


def test_a_kernel_that_cannot_be_compiled_is_found(device, monkeypatch):
    monkeypatch.setattr(modules, "text", lambda name: "not CUDA")
    said = probe.available()
    assert said.startswith("a test kernel failed (")
    assert "\n" not in said


def test_a_product_of_transposed_factors_is_found(device, monkeypatch):
    from numlstm.backends.gpu import products

    multiply = products.multiply
    monkeypatch.setattr(products, "multiply", lambda a, b, out: multiply(a.T, b, out))
    assert probe.available().startswith("a test product gave wrong numbers")


def test_a_card_that_is_too_old(device):
    device.card.sm = 70
    assert probe.available().startswith("the GPU is sm_70")


def test_a_card_that_is_not_there(device):
    device.card.devices = 0
    assert probe.available().startswith("there is an NVIDIA driver, but no GPU")


def test_the_facts(device):
    found = facts.facts()
    assert (found.name, found.sm, found.multiprocessors) == (device.card.name, device.card.sm, device.card.processors)
    assert found.shared_memory == device.card.shared_per_block
    assert 0 < found.free_memory <= found.total_memory == device.card.memory
    assert facts.describe() == "gpu (Emulated card, sm_90, 1 GB)"
    assert about()["driver"] == "for CUDA 13.0"
