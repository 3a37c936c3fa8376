"""Wait until a condition holds."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds: enough for a busy machine
_PAUSE = 0.01


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Poll until `true()` returns a true value; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} seconds"
        time.sleep(_PAUSE)
