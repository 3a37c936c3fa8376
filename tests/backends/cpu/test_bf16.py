"""The machine code of bf16 products, compiled for a processor with the instruction even if this one lacks it."""

from __future__ import annotations

import re

import pytest
from llvmlite import binding, ir

from numlstm.backends.cpu import processor
from numlstm.backends.cpu.product import TILE_WIDTH, accumulate
from numlstm.backends.cpu.simd import INDEX, PAIR, Emitter, View

TRIPLE = "x86_64-unknown-linux-gnu"
ROWS = 6


@pytest.fixture
def machine():
    """A compile target with AVX-512 and bf16 products."""
    try:
        target = binding.Target.from_triple(TRIPLE)
    except RuntimeError as error:
        pytest.skip(f"this LLVM cannot compile for x86: {error}")
    return target.create_target_machine(cpu="cooperlake", opt=3)


@pytest.fixture(autouse=True)
def as_if_avx512(monkeypatch):
    monkeypatch.setattr(processor, "register_file", lambda: processor.REGISTER_FILES["avx512"])
    monkeypatch.setattr(processor, "host_features", lambda: {"avx512bf16": True})
    monkeypatch.delenv("NUMLSTM_BF16", raising=False)


def tile(element):
    """Return the IR of `out += a @ b` for a tile of ROWS rows; the elements of a and b are numbers or bf16 pairs."""
    number, pointer = ir.FloatType(), ir.PointerType()
    module = ir.Module()
    module.triple = TRIPLE
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, pointer, pointer, INDEX]), "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    a, b, out, K = function.args
    emit, operand = Emitter(builder, number), Emitter(builder, element)
    width = emit.index(TILE_WIDTH * emit.lanes)
    left = View(operand, a, [emit.index(ROWS), K], [K, emit.index(1)])
    right = View(operand, b, [K, width], [width, emit.index(1)])
    places = [emit.move(out, n * emit.lanes) for n in range(ROWS * TILE_WIDTH)]
    for vec, place in zip(
        accumulate(emit, [emit.load(p) for p in places], left, right, ROWS, TILE_WIDTH), places, strict=True
    ):
        emit.store(vec, place)
    builder.ret_void()
    return str(module)


def instructions(machine, element, name):
    """Return the lines of the tile's assembly with the named instruction."""
    module = binding.parse_assembly(tile(element))
    module.verify()
    return re.findall(rf"^\s*{name}\s.*$", machine.emit_assembly(module), re.MULTILINE)


def test_a_tile_of_pairs_is_the_instruction_on_whole_registers(machine):
    found = instructions(machine, PAIR, "vdpbf16ps")
    assert len(found) == ROWS * TILE_WIDTH
    assert all("%zmm" in line for line in found)
    assert instructions(machine, PAIR, r"vfmadd\w+") == []


def test_a_tile_of_float32_has_no_such_instruction(machine):
    assert instructions(machine, ir.FloatType(), "vdpbf16ps") == []
    assert len(instructions(machine, ir.FloatType(), r"vfmadd\w+ps")) == ROWS * TILE_WIDTH


def test_nothing_spills(machine):
    assert instructions(machine, PAIR, r"vmovup\w+\s+%zmm\d+, -?\d*\(%rsp\)") == []


def test_emulation_has_no_such_instruction(machine, monkeypatch):
    monkeypatch.setenv("NUMLSTM_BF16", "emulated")
    assert instructions(machine, PAIR, "vdpbf16ps") == []
    assert len(instructions(machine, PAIR, r"vfmadd\w+ps")) == 2 * ROWS * TILE_WIDTH
