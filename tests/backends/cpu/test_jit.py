"""Shards that meet: in order, without deadlock, with more of them than cores, and where Numba runs them in turn."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MEETINGS = """
import numba, numpy as np
from numlstm.backends.cpu.jit import COUNTER_SIZE, ShardedKernel, can_meet, meet

@ShardedKernel
def relay(flags, seen, late, s, shards):
    # In turn n every shard writes n to its place and, after the meeting, reads all places; then they meet again.
    for n in range(seen.shape[0]):
        seen[n, s] = n + 1
        meet(flags, s, 2 * n + 1, shards)
        for other in range(shards):
            late[s] += seen[n, other] != n + 1
            if n + 1 < seen.shape[0]:
                late[s] += seen[n + 1, other] != 0
        meet(flags, s, 2 * n + 2, shards)

for shards in SHARDS:
    assert can_meet(shards), shards
    late = np.zeros(shards, np.int64)
    relay(np.zeros((shards, COUNTER_SIZE), np.int64), np.zeros((TURNS, shards), np.int64), late, shards=shards)
    assert not late.any(), (shards, late)
print(numba.threading_layer())
"""


def run(code: str, **variables: str) -> str:
    """Run Python code in a process with eight threads and return what it prints."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "8", **variables}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("layer", [pytest.param("omp", marks=pytest.mark.slow), "workqueue"])
def test_shards_meet_in_order_even_if_there_are_more_of_them_than_cores(layer):
    code = MEETINGS.replace("SHARDS", "(1, 2, 3, 8)").replace("TURNS", "2000")
    try:
        assert run(code, NUMBA_THREADING_LAYER=layer) == layer
    except AssertionError as error:
        if "No threading layer could be loaded" in str(error):
            pytest.skip(f"Numba has no {layer} layer here")
        raise


@pytest.mark.parametrize("setting", [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}])
def test_shards_that_may_share_a_thread_do_not_meet(setting):
    code = """
import numba
from numlstm.backends.cpu import jit

jit._TRIAL_POLLS = 1000
print(jit.can_meet(3), numba.threading_layer())
"""
    met, layer = run(code, **setting).split()
    if layer != "omp":
        pytest.skip(f"Numba's layer is {layer} here; these variables are OpenMP's")
    assert met == "False"
