"""`kill -9` during training loses nothing that was saved. Run `kills.py` for more kills."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.train.kills import kill_and_go_on


@pytest.mark.slow
@pytest.mark.alone
def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    found = kill_and_go_on(tmp_path, kills=3, steps=600, seed=0)
    assert len(found.steps) == 3, "the run ended before it could be killed"
    assert found.steps == sorted(found.steps)
    assert 0 < found.steps[0] < 600
    assert found.same
    if os.name == "posix":
        assert found.left_over == 0
