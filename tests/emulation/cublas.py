"""Emulates cuBLAS's matrix product: column-major, on raw addresses, with cuBLAS's own checks.

Factors are rounded as the compute type requires. alpha and beta are read at the call, in host pointer mode. If beta is
0, C is not read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.emulation.memory import Memory
from tests.emulation.streams import Stream

HANDLE = 0xB1A5
NO_TRANSPOSE, TRANSPOSE = 0, 1
HOST_MODE, DEVICE_MODE = 0, 1
NUMBERS = {0: np.dtype(np.float32), 1: np.dtype(np.float64)}  # CUDA_R_32F, CUDA_R_64F
MANTISSA = {77: 10, 75: 7}  # mantissa bits of TF32 and bfloat16
ALGORITHMS = (-1, 99)  # CUBLAS_GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT_TENSOR_OP
CONSTANTS = {
    "CUBLAS_OP_N": NO_TRANSPOSE,
    "CUBLAS_OP_T": TRANSPOSE,
    "CUBLAS_POINTER_MODE_HOST": HOST_MODE,
    "CUBLAS_POINTER_MODE_DEVICE": DEVICE_MODE,
    "CUBLAS_GEMM_DEFAULT": -1,
    "CUBLAS_GEMM_DEFAULT_TENSOR_OP": 99,
    "CUBLAS_COMPUTE_32F": 68,
    "CUBLAS_COMPUTE_64F": 70,
    "CUBLAS_COMPUTE_32F_FAST_16F": 74,
    "CUBLAS_COMPUTE_32F_FAST_16BF": 75,
    "CUBLAS_COMPUTE_32F_FAST_TF32": 77,
}
COMPUTES = {np.dtype(np.float32): (68, 74, 75, 77), np.dtype(np.float64): (70,)}


class CUBLASError(RuntimeError):
    """Stands in for CuPy's error, which cannot be imported without cuBLAS."""

    def __init__(self, status: int) -> None:
        name = {7: "CUBLAS_STATUS_INVALID_VALUE", 1: "CUBLAS_STATUS_NOT_INITIALIZED", 15: "CUBLAS_STATUS_NOT_SUPPORTED"}
        super().__init__(name[status])
        self.status = status


def rounded(factor: np.ndarray, compute: int) -> np.ndarray:
    """Return a factor rounded to nearest as the compute type requires, in its original dtype."""
    if compute == 74:
        return factor.astype(np.float16).astype(np.float32)  # values beyond 65504 become infinite
    if compute not in MANTISSA:
        return factor
    dropped = 23 - MANTISSA[compute]
    bits = np.ascontiguousarray(factor).view(np.uint32)
    even = (bits >> np.uint32(dropped)) & np.uint32(1)
    nearest = (bits + even + np.uint32((1 << (dropped - 1)) - 1)) & np.uint32(~((1 << dropped) - 1) & 0xFFFFFFFF)
    return np.where(np.isfinite(factor), nearest.view(np.float32), factor)


def module(memory: Memory) -> SimpleNamespace:
    """Return a stand-in for `cupy.cuda.cublas` that operates on `memory`."""
    modes = [DEVICE_MODE]  # as other code may leave the handle, so that a caller must set the mode it needs

    def expect_handle(handle: int) -> None:
        if handle != HANDLE:
            raise CUBLASError(1)

    def set_pointer_mode(handle: int, mode: int) -> None:
        expect_handle(handle)
        modes[0] = mode

    def get_pointer_mode(handle: int) -> int:
        expect_handle(handle)
        return modes[0]

    def gemm(handle: int, *arguments: int) -> None:
        expect_handle(handle)
        if modes[0] != HOST_MODE:
            raise CUBLASError(15)  # alpha and beta in device memory are not emulated
        work = _product(memory, *arguments)
        Stream.counts.products += 1
        Stream.current.later(work)

    names = {"setPointerMode": set_pointer_mode, "getPointerMode": get_pointer_mode, "gemmEx": gemm}
    return SimpleNamespace(**names, **CONSTANTS, CUBLASError=CUBLASError)


def _product(
    memory: Memory,
    transa: int,
    transb: int,
    m: int,
    n: int,
    k: int,
    alpha: int,
    A: int,
    Atype: int,
    lda: int,
    B: int,
    Btype: int,
    ldb: int,
    beta: int,
    C: int,
    Ctype: int,
    ldc: int,
    computeType: int,
    algo: int,
) -> Callable[[], None]:
    """Check C = alpha op(A) op(B) + beta C, where op(A) is m by k and op(B) k by n; return a function to compute it."""
    if transa not in (NO_TRANSPOSE, TRANSPOSE) or transb not in (NO_TRANSPOSE, TRANSPOSE):
        raise CUBLASError(7)
    rows_a, columns_a = (m, k) if transa == NO_TRANSPOSE else (k, m)
    rows_b, columns_b = (k, n) if transb == NO_TRANSPOSE else (n, k)
    if min(m, n, k) < 0 or lda < max(1, rows_a) or ldb < max(1, rows_b) or ldc < max(1, m):
        raise CUBLASError(7)
    dtype = NUMBERS.get(Ctype)
    if (
        dtype is None
        or Atype != Ctype
        or Btype != Ctype
        or computeType not in COMPUTES[dtype]
        or algo not in ALGORITHMS
    ):
        raise CUBLASError(15)
    scale, keep = (float(_scalar(at, dtype)) for at in (alpha, beta))  # in the compute type's base dtype
    a = _matrix(memory, A, rows_a, columns_a, lda, dtype, "gemmEx, A")
    b = _matrix(memory, B, rows_b, columns_b, ldb, dtype, "gemmEx, B")
    c = _matrix(memory, C, m, n, ldc, dtype, "gemmEx, C")

    def compute() -> None:
        if not c.size:
            return
        with np.errstate(all="ignore"):
            left, right = rounded(a, computeType), rounded(b, computeType)
            made = dtype.type(scale) * ((left.T if transa else left) @ (right.T if transb else right))
            c[...] = made if keep == 0 else made + dtype.type(keep) * c

    return compute


def _scalar(address: int, dtype: np.dtype[Any]) -> Any:
    if not address:
        raise CUBLASError(7)
    return np.frombuffer(ctypes.string_at(address, dtype.itemsize), dtype)[0]


def _matrix(
    memory: Memory, address: int, rows: int, columns: int, leading: int, dtype: np.dtype[Any], what: str
) -> np.ndarray:
    if not rows * columns:
        return np.zeros((rows, columns), dtype)
    size = ((columns - 1) * leading + rows) * dtype.itemsize
    memory.expect(address, size, what)
    raw = (ctypes.c_char * size).from_address(address)
    return np.ndarray((rows, columns), dtype, raw, 0, (dtype.itemsize, leading * dtype.itemsize))
