"""Tests run concurrently, except that one marked `alone` has the machine for itself."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.helpers import alone

pytest.importorskip("fcntl", reason="Windows has no locks of this kind")


def begins_beside(first: bool, second: bool) -> bool:
    """Return True if the second test starts while the first runs; each runs alone if its argument is true."""
    began = threading.Event()

    def run() -> None:
        with alone.turn(second):
            began.set()

    thread = threading.Thread(target=run)
    with alone.turn(first):
        thread.start()
        found = began.wait(0.3)
    thread.join(10)
    assert began.is_set(), "the second test never got its turn"
    return found


@pytest.mark.parametrize(
    ("first", "second", "beside"),
    [(False, False, True), (False, True, False), (True, False, False), (True, True, False)],
)
def test_turns(first: bool, second: bool, beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(alone.LOCK, str(tmp_path))
    assert begins_beside(first, second) == beside


def test_without_a_folder_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(alone.LOCK)
    assert begins_beside(True, True)
