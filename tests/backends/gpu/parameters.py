"""Parameters of the kernels' tests: what every run of the suite takes, and what it leaves to the slow proofs.

float64 shows a wrong formula most sharply. A shuffled order of threads shows a missing barrier whichever way the
threads read; the two others each show one way.
"""

from __future__ import annotations

from typing import Any

import pytest


def slow(*parameters: Any) -> Any:
    """Mark a set of parameters: only the slow proofs run it."""
    return pytest.param(*parameters, marks=pytest.mark.slow)


DTYPES = ["float64", slow("float32")]
ORDERS = [slow(0), slow(1), 7]  # ascending, descending, shuffled by that seed
