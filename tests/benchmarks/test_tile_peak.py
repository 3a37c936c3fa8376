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
    monkeypatch.setattr(tile_peak, "host_features", lambda: {"amx-tile": True})
    with pytest.raises(AbsentError, match=r"no tiles for bf16 numbers \(amx-bf16\)"):
        tile_peak.TilePeak(1)


def test_all_tiles_have_sixteen_rows_of_sixty_four_bytes() -> None:
    config = tile_peak.configuration()
    assert config.ctypes.data % 64 == 0
    assert config[0] == 1
    assert config[16:32].view("uint16").tolist() == [64] * 8
    assert config[48:56].tolist() == [16] * 8


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
