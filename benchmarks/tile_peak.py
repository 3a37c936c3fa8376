"""Measure the peak of this processor's tiles (AMX): products of bf16 numbers on tile registers alone, without loads.

The tiles of Intel's processors since Sapphire Rapids hold 16 rows of 64 bytes. One instruction, `tdpbf16ps`, multiplies
16 rows of 32 bf16 numbers by 32 rows of 16 and adds the products to 16 rows of 16 float32 sums.
"""

from __future__ import annotations

import ctypes
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from numlstm.backends.cpu.processor import host_features

from .contest import AbsentError, serve

_ROWS, _ROW_BYTES = 16, 64
_SUMS, _LEFT, _RIGHT = (0, 1, 2, 3), (4, 5), (6, 7)  # tile registers: two by two products, as a matrix product has them
_FLOP = len(_SUMS) * 2 * _ROWS * _ROWS * (_ROW_BYTES // 2)  # in one round
_PIECE_SECONDS = 0.005  # length of a piece of work
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18  # Linux: a process must ask before it uses tiles


def missing() -> str:
    """Return "" if this process may use tiles with bf16 numbers, else what is missing."""
    features = host_features()
    if not (features.get("amx-tile") and features.get("amx-bf16")):
        return "this processor has no tiles for bf16 numbers (amx-bf16)"
    if not sys.platform.startswith("linux"):
        return "tiles are used on Linux only"
    if ctypes.CDLL(None, use_errno=True).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) != 0:
        return "the system does not let this process use tiles"
    return ""


def configuration() -> npt.NDArray[np.uint8]:
    """Return the 64 bytes, aligned to 64, that set all eight tiles to 16 rows of 64 bytes."""
    raw = np.zeros(128, np.uint8)
    start = -raw.ctypes.data % 64
    config = raw[start : start + 64]
    config[0] = 1  # the palette
    config[16:32:2] = _ROW_BYTES
    config[48:56] = _ROWS
    return config


def _call(builder: ir.IRBuilder, name: str, *values: ir.Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


def _tile(register: int) -> ir.Constant:
    return ir.Constant(ir.IntType(8), register)


@intrinsic
def _multiply_tiles(context, count, config):  # type: ignore[no-untyped-def]
    """Multiply two tiles by two others, `count` times; all tiles are zero at first."""

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        count, config = values
        start = context.make_array(signature.args[1])(context, builder, config).data
        _call(builder, "ldtilecfg", builder.bitcast(start, cgutils.voidptr_t))
        for register in (*_SUMS, *_LEFT, *_RIGHT):
            _call(builder, "tilezero", _tile(register))
        with cgutils.for_range(builder, count):
            for n, sums in enumerate(_SUMS):
                _call(builder, "tdpbf16ps", _tile(sums), _tile(_LEFT[n // 2]), _tile(_RIGHT[n % 2]))
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(types.intp, config), codegen


@numba.njit(nogil=True)
def _kernel(count, config):  # type: ignore[no-untyped-def]
    _multiply_tiles(count, config)


class TilePeak:
    """Products of tiles on several threads at once. Work is counted in floating-point operations."""

    def __init__(self, threads: int) -> None:
        if reason := missing():
            raise AbsentError(reason)
        self.threads, self._config, self._count = threads, configuration(), 1
        self._pool = ThreadPoolExecutor(threads)
        self.work()  # compiles
        while min(self._seconds() for _ in range(3)) < _PIECE_SECONDS:  # a single time may include scheduling delays
            self._count *= 2

    def about(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": "tiles of bf16 numbers"}

    def work(self) -> int:
        """Do one piece of work and return its number of operations."""
        list(self._pool.map(_kernel, [self._count] * self.threads, [self._config] * self.threads))
        return _FLOP * self._count * self.threads

    def _seconds(self) -> float:
        started = time.perf_counter()
        self.work()
        return time.perf_counter() - started


TASKS = {"tiles": TilePeak}

if __name__ == "__main__":
    serve(TASKS)
