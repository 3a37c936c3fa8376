"""The choice between one thread a stream and all threads for all streams: the same bits, and the faster one is used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from numlstm.backends.cpu import pace
from numlstm.backends.cpu.pace import Pace


class Clock:
    """A clock that a drawing of tokens moves on: by rows and by columns at different speeds."""

    def __init__(self, monkeypatch, rows, columns):
        self.now, self.seconds, self.spans = 0.0, {False: rows, True: columns}, []
        monkeypatch.setattr(pace.time, "perf_counter", lambda: self.now)

    def run(self, first, beyond, columns):
        self.spans.append((first, beyond, columns))
        self.now += (beyond - first) * self.seconds[columns]

    def tokens(self, columns):
        return sum(beyond - first for first, beyond, by in self.spans if by == columns)


@pytest.mark.parametrize("calls", [[5_000], [1] * 200 + [37] * 100 + [1_100]])
def test_tokens_are_drawn_once_and_in_order(monkeypatch, calls):
    clock, chosen = Clock(monkeypatch, 1.0, 0.5), Pace()
    for N in calls:
        before = len(clock.spans)
        chosen.draw(N, clock.run)
        spans = clock.spans[before:]
        assert [first for first, _, _ in spans] == [0, *(beyond for _, beyond, _ in spans[:-1])]
        assert spans[-1][1] == N


def test_the_faster_way_draws_nearly_all(monkeypatch):
    for rows, columns in ((1.0, 0.5), (1.0, 10.0)):
        clock, chosen = Clock(monkeypatch, rows, columns), Pace()
        chosen.draw(20_000, clock.run)
        assert chosen.columns == (columns < rows)
        assert clock.tokens(columns < rows) > 19_800
        assert clock.now < 20_000 * min(rows, columns) * 1.02


def test_the_choice_follows_a_machine_that_becomes_busy(monkeypatch):
    clock, chosen = Clock(monkeypatch, 1.0, 0.5), Pace()
    chosen.draw(3_000, clock.run)
    assert chosen.columns
    clock.seconds[True] = 8.0
    chosen.draw(5_000, clock.run)
    assert not chosen.columns


BOTH_WAYS = """
import numpy as np
from numlstm.backends import cpu
from numlstm.backends.cpu import generation
from numlstm.backends.cpu.pace import Pace
from numlstm.backends.spec import sampling
from tests.backends.contract import network, random_state

layers, V = (70, 33), 65
for rounding in ("", "bf16", "int8"):
    packed, output = network(cpu, 1, V, layers, "float32", rounding)
    form = cpu.pack_rounded(packed, output, rounding) if rounding else None
    for B in (1, 3):
        uniforms, found = np.random.default_rng(B).random((90, B)), []
        how = sampling.of(B, 1.0)
        for threads in (1, 2, 4):
            cpu.set_threads(threads)
            for columns in (False, True):
                generation._LARGE = 0 if columns else 10**9
                spans = []
                def draw(self, N, run):
                    for first in range(0, N, 30):
                        run(first, first + 30, columns)
                        spans.append(threads)
                Pace.draw = draw
                state = random_state(cpu, 1, layers, B, "float32")
                tokens, after = cpu.generate(packed, output, state, np.zeros(B, np.int32), uniforms, how, None, form)
                assert bool(spans) == (columns and B < threads), (spans, columns)
                found.append([tokens, *(part for pair in after for part in pair)])
        for other in found[1:]:
            for part, expected in zip(other, found[0], strict=True):
                np.testing.assert_array_equal(part, expected)
print("same")
"""


@pytest.mark.slow
def test_threads_and_columns_change_no_bit_at_any_precision():
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-c", BOTH_WAYS], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.stdout == "same\n", done.stderr
