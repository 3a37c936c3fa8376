"""`benchmarks.tile_peak` compiles to tile instructions, counts their work, and says why it cannot run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from benchmarks import tile_peak
from benchmarks.contest import AbsentError
from benchmarks.measure import ROOT
from numlstm.backends.cpu import processor

COMPILE = """
import numba
from benchmarks import tile_peak
kinds = (numba.intp, numba.uint8[::1])
tile_peak._kernel.compile(kinds)
print(tile_peak._kernel.inspect_asm(kinds))
"""


def test_a_processor_without_tiles_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "tiles_missing", lambda: "this processor has no tiles")
    with pytest.raises(AbsentError, match="this processor has no tiles"):
        tile_peak.TilePeak(1)
    monkeypatch.setenv("NUMLSTM_AMX", "emulated")
    with pytest.raises(AbsentError, match="tiles are emulated"):
        tile_peak.TilePeak(1)


@pytest.mark.parametrize("threads", [1, 2])
def test_work_is_counted_on_each_thread(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    asked: list[int] = []
    monkeypatch.setattr(tile_peak, "missing", lambda: "")
    monkeypatch.setattr(tile_peak, "_kernel", lambda count, config: asked.append(count))
    monkeypatch.setattr(tile_peak, "_PIECE_SECONDS", 0.0)
    peak = tile_peak.TilePeak(threads)
    peak._count = 100
    asked.clear()
    assert peak.work() == threads * 100 * 4 * 16 * 16 * 32 * 2
    assert asked == [100] * threads
    assert peak.about()["threads"] == threads


@pytest.mark.skipif("sse2" not in processor.host_features(), reason="tiles belong to x86 processors")
def test_it_compiles_to_products_of_tiles_alone() -> None:
    for_tiles = {"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": "+amx-tile,+amx-bf16"}
    environment = {**os.environ, **for_tiles}
    done = subprocess.run([sys.executable, "-c", COMPILE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tiles = re.findall(r"\t(ldtilecfg|tile\w+|tdp\w+)\b", done.stdout)
    assert tiles[:9] == ["ldtilecfg", *["tilezero"] * 8]
    assert tiles[-1] == "tilerelease"
    assert set(tiles[9:-1]) == {"tdpbf16ps"}, "there must be no loads between the products"


def test_tiles_are_multiplied_where_they_are() -> None:
    if reason := tile_peak.missing():
        pytest.skip(reason)
    assert tile_peak.TilePeak(1).work() > 0
