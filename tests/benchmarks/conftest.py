"""Stand-ins for what a benchmark needs and this machine or this environment has not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from numlstm import backends
from numlstm.backends import cpu


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """Leave the CPU with as many threads as it starts with: contestants choose their own."""
    yield
    backends.load("cpu").set_threads(None)


@pytest.fixture
def bf16_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU take a network in bf16 and compute it in float32: on every processor, with no further kernels."""
    pack = cpu.pack_lstm
    monkeypatch.setattr(cpu, "pack_lstm", lambda *weights, precision="", **options: pack(*weights, **options))
