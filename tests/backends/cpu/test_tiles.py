"""Products in tiles: emulated on every machine, real where the processor has them, and the same to the bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from llvmlite import binding, ir

from numlstm.backends import reference
from numlstm.backends.cpu import processor, tile_recurrence, tiles
from numlstm.backends.cpu.simd import INDEX, PAIR, Emitter, View
from tests.backends.cpu import tile_run

Array = npt.NDArray[Any]
THREADS = ("1", "2", "3", "8", "64")
TRIPLE = "x86_64-unknown-linux-gnu"


def run(folder: Path, mode: str) -> dict[str, Array]:
    """Run `tile_run.py` with NUMLSTM_AMX set to a mode, on more threads than there are cores."""
    out = folder / f"{mode or 'real'}.npz"
    environment = {**os.environ, "NUMLSTM_AMX": mode, "NUMBA_NUM_THREADS": "64"}
    command = [sys.executable, "-m", "tests.backends.cpu.tile_run", str(out), *THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    with np.load(out) as file:
        return dict(file)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    return run(tmp_path_factory.mktemp("tiles"), "emulated")


def widened(words: npt.NDArray[np.uint16]) -> Array:
    return (words.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def product_as_specified(a: npt.NDArray[np.uint16], b: npt.NDArray[np.uint16]) -> Array:
    """Multiply as the instruction does: 16 even and 16 odd places add up apart, rounded to float32 at each step."""
    left, right, total = widened(a), widened(b), np.zeros((len(a), b.shape[1]), np.float32)
    for block in range(0, len(b), 32):
        sums = np.zeros((2, *total.shape), np.float32)
        for k in range(32):
            exact = np.outer(left[:, block + k], right[block + k]) + sums[k % 2]
            sums[k % 2] = exact.astype(np.float32)
        total += sums[0] + sums[1]
    return total


@pytest.mark.slow
def test_a_product_is_the_instruction_s_to_the_bit(emulated: dict[str, Array]) -> None:
    for rows in tile_run.ROWS:
        a, b, out = (emulated[f"product/{rows}/{name}"] for name in ("a", "b", "out"))
        np.testing.assert_array_equal(out, product_as_specified(a, b), err_msg=f"{rows} rows")


@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit(emulated: dict[str, Array]) -> None:
    compared = 0
    for name, expected in emulated.items():
        if name.startswith("1/"):
            for count in THREADS[1:]:
                np.testing.assert_array_equal(emulated[count + name[1:]], expected, err_msg=f"{count}: {name}")
                compared += 1
    assert compared > 200


@pytest.mark.slow
def test_real_tiles_give_the_same_bits(emulated: dict[str, Array], tmp_path: Path) -> None:
    if missing := processor.tiles_missing():
        pytest.skip(missing)
    real = run(tmp_path, "")
    assert real.keys() == emulated.keys()
    for name, expected in emulated.items():
        np.testing.assert_array_equal(real[name], expected, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [False, True])
def test_layers_agree_with_the_reference(
    emulated: dict[str, Array], tokens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_run, "cpu", ReferenceInBf16)
    for shape in tile_run.TOKENS if tokens else tile_run.LAYERS:
        expected = tile_run.layer(shape, tokens)
        for name, value in expected.items():
            found = emulated[f"1/{'tokens' if tokens else 'layer'} {shape}/{name}"]
            assert relative(found, value) < 0.012, (shape, name)


@pytest.mark.slow
def test_output_layers_agree_with_the_reference(emulated: dict[str, Array], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_run, "cpu", ReferenceInBf16)
    for shape in tile_run.DENSE:
        for name, value in tile_run.dense(shape).items():
            assert relative(emulated[f"1/dense {shape}/{name}"], value) < 0.006, (shape, name)


@pytest.mark.slow
def test_every_kind_of_network_works_in_bf16(emulated: dict[str, Array]) -> None:
    for name in tile_run.NETWORKS:
        for kind in tile_run.DROPOUTS:
            single, half = (emulated[f"{each} network {name}, dropout {kind}"] for each in ("float32", "bf16"))
            assert 0 < relative(half, single) < 0.02, (name, kind)
        single, half = (emulated[f"{each} drawn {name}"] for each in ("float32", "bf16"))
        assert np.mean(single == half) > 0.9, name


class ReferenceInBf16:
    """The reference, which has no bf16: it computes in float32."""

    lstm_forward, lstm_backward = staticmethod(reference.lstm_forward), staticmethod(reference.lstm_backward)
    dense_forward, dense_backward = staticmethod(reference.dense_forward), staticmethod(reference.dense_backward)

    @staticmethod
    def pack_lstm(*weights: Array, tokens: bool, precision: str) -> Any:
        return reference.pack_lstm(*weights, tokens=tokens)

    @staticmethod
    def pack_dense(W: Array, b: Array, *, precision: str) -> Any:
        return reference.pack_dense(W, b)


def relative(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# The grid of shards


@pytest.mark.parametrize(
    ("B", "kilobytes", "panels", "threads", "expected"),
    [
        (64, 256, 2, 1, (1, 1)),
        (64, 256, 2, 2, (2, 1)),  # small weights: rows
        (64, 4096, 8, 2, (1, 2)),  # 512 units on two cores: columns
        (64, 4096, 8, 16, (4, 4)),  # columns until a share of the weights fits the cache, then rows
        (256, 4096, 8, 16, (4, 4)),
        (16, 4096, 8, 16, (1, 8)),  # too few rows: more columns
        (16, 4096, 7, 16, (1, 7)),
        (5, 64, 1, 64, (1, 1)),
    ],
)
def test_the_grid(B: int, kilobytes: int, panels: int, threads: int, expected: tuple[int, int]) -> None:
    assert tile_recurrence.grid(B, kilobytes << 10, panels, threads) == expected


def test_every_shard_of_a_grid_has_panels_and_rows() -> None:
    for B in (1, 15, 16, 33, 100, 1000):
        for panels in (1, 2, 3, 8, 12, 16):
            for threads in (1, 2, 3, 7, 16, 64):
                rows, columns = tile_recurrence.grid(B, panels * panels << 18, panels, threads)
                assert rows * columns <= threads
                assert panels % columns == 0
                assert rows == 1 or B / rows > 8


@pytest.mark.parametrize("count", [*range(1, 70), 100, 129])
def test_tiles_cover_all_rows_and_no_others(count: int) -> None:
    rows = tiles.tile_rows.py_func(count)
    assert 1 <= rows <= 16
    if count <= 16:
        assert rows == count
        return
    pairs = -(-count // 32)
    group = -(-count // pairs)
    starts = [min(n * group, count - group) for n in range(pairs)]
    covered = {row for start in starts for first in (start, start + group - rows) for row in range(first, first + rows)}
    assert covered == set(range(count))


# The machine code


def assembly(rows: int, columns: int) -> str:
    """Compile out += a @ b for tiles, for a processor that has them, even if this one lacks them."""
    try:
        target = binding.Target.from_triple(TRIPLE)
    except RuntimeError as error:
        pytest.skip(f"this LLVM cannot compile for x86: {error}")
    pointer, module = ir.PointerType(), ir.Module()
    module.triple = TRIPLE
    kinds = [pointer] * 4 + [INDEX] * 2
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "product")
    builder = ir.IRBuilder(function.append_basic_block())
    a, b, out, config, pieces, stride = function.args
    emit = Emitter(builder, ir.FloatType())
    left = [tiles.advance(emit, a, 1024 * n) for n in range(rows)]
    factors = tiles.Factors(left, stride, pieces, emit.index(64), 1, b)
    view = View(Emitter(builder, PAIR), config, [emit.index(16)], [emit.index(1)])
    places = [tiles.advance(emit, out, 4096 * n) for n in range(rows)]
    tiles.tile_product(emit, view, [factors], columns, places, stride)
    builder.ret_void()
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    return target.create_target_machine(cpu="sapphirerapids", opt=3).emit_assembly(parsed)


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (2, 2)])
def test_the_instructions(rows: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMLSTM_AMX", "")
    monkeypatch.setattr(processor, "register_file", lambda: processor.REGISTER_FILES["avx512"])
    found = assembly(rows, columns)
    counts = {
        name: len(re.findall(rf"\b{name}\b", found)) for name in ("tdpbf16ps", "tileloadd", "tilezero", "tilestored")
    }
    assert counts == {"tdpbf16ps": 4, "tileloadd": rows + columns, "tilezero": 4, "tilestored": 4}
    assert not re.search(r"\bcall", found), "everything is an instruction"


def test_emulation_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMLSTM_AMX", "emulated")
    monkeypatch.setattr(processor, "register_file", lambda: processor.REGISTER_FILES["avx512"])
    found = assembly(2, 2)
    assert not re.search(r"\b(tdp|tileload|tilestore|tilezero)", found)
    assert "vfmadd" in found


# The switch


def test_an_unknown_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMLSTM_AMX", "on")
    with pytest.raises(processor.BackendError, match="NUMLSTM_AMX is 'on'; expected emulated or off"):
        processor.tiles_emulated()


@pytest.mark.parametrize(
    ("mode", "features", "expected"),
    [
        ("off", {"amx-tile": True, "amx-bf16": True}, "NUMLSTM_AMX is off"),
        ("emulated", {}, ""),
        ("", {"amx-tile": True}, "this processor has no tiles for bf16 products"),
    ],
)
def test_what_is_missing(mode: str, features: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMLSTM_AMX", mode)
    monkeypatch.setattr(processor, "host_features", lambda: features)
    found = processor.tiles_missing.__wrapped__()
    assert found.startswith(expected)
    assert bool(found) == bool(expected)


def test_a_system_that_gives_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    refusing = type("Libc", (), {"syscall": lambda self, *args: asked.append(args) or -1})
    monkeypatch.setenv("NUMLSTM_AMX", "")
    monkeypatch.setattr(processor, "host_features", lambda: {"amx-tile": True, "amx-bf16": True})
    monkeypatch.setattr(processor, "register_file", lambda: processor.REGISTER_FILES["avx512"])
    monkeypatch.setattr(processor.sys, "platform", "linux")
    monkeypatch.setattr(processor.ctypes, "CDLL", lambda *args, **options: refusing())
    monkeypatch.setattr(processor.ctypes, "get_errno", lambda: 28)
    found = processor.tiles_missing.__wrapped__()
    assert found.startswith("the system does not let this process use tiles: ")
    assert asked == [(158, 0x1023, 18)]


def test_configurations() -> None:
    assert tiles.PALETTES.ctypes.data % 64 == 0
    for rows, config in enumerate(tiles.PALETTES):
        assert config[0] == 1
        assert config[16:32].view("uint16").tolist() == [64] * 8
        assert config[48:56].tolist() == [rows] * 6 + [16] * 2
