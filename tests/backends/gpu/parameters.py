"""Parameters of the kernel tests: which run in every suite, and which only with the slow tests.

float64 is the most sensitive to a wrong formula. A shuffled thread order reveals a missing barrier whichever direction
the threads read in; ascending and descending order reveal one direction each.
"""

from __future__ import annotations

from typing import Any

import pytest


def slow(*parameters: Any) -> Any:
    """Mark a parameter set as slow."""
    return pytest.param(*parameters, marks=pytest.mark.slow)


DTYPES = ["float64", slow("float32")]
ORDERS = [slow(0), slow(1), 7]  # ascending, descending, shuffled with seed 7
