"""Wait for something to happen, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds; a machine with other work may need them
_PAUSE = 0.01


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as `true()` is true; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} seconds"
        time.sleep(_PAUSE)
