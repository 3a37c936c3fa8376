"""Matrix products through cuBLAS, which read and write views of larger arrays in place.

CuPy's own `matmul` copies operands that are views, and cannot add to its output. Calling cuBLAS directly needs no copy,
and can add.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ...errors import BackendError
from .device import facts
from .lazy_cupy import cp

Array = Any

# The compute type of each precision, which says how float32 factors are rounded; sums stay in float32.
COMPUTE = {
    "": "CUBLAS_COMPUTE_32F",
    "tf32": "CUBLAS_COMPUTE_32F_FAST_TF32",
    "bf16": "CUBLAS_COMPUTE_32F_FAST_16BF",
    "fp16": "CUBLAS_COMPUTE_32F_FAST_16F",
}
# The compute capability that a precision needs, without the dot.
NEEDS = {"tf32": 80, "bf16": 80, "fp16": 70}


class _Matrix(NamedTuple):
    """A matrix in memory: `transposed` is True if cuBLAS's columns are its columns, False if they are its rows."""

    pointer: int
    transposed: bool
    stride: int  # entries from one row, or column, to the next


def _matrix(a: Array) -> _Matrix:
    """Describe a 2-d view for cuBLAS, which is column-major: a row of ours is a column there."""
    rows, columns = a.shape
    down, along = (stride // a.itemsize for stride in a.strides)
    if along == 1 or columns == 1:
        return _Matrix(a.data.ptr, False, max(down, columns) if rows > 1 else columns)
    if down == 1 or rows == 1:
        return _Matrix(a.data.ptr, True, max(along, rows))
    raise BackendError(f"a matrix has strides of {a.strides} bytes; expected rows or columns without gaps")


@functools.cache
def _scalar(value: int, dtype: str) -> np.ndarray[Any, Any]:
    return np.array(value, dtype)  # cached: cuBLAS reads the factors of a product from host memory


def multiply(a: Array, b: Array, out: Array, *, add: bool = False, precision: str = "") -> None:
    """Write a (M, K) times b (K, N) to out (M, N), or add the product to out.

    All are 2-d views of one dtype whose rows or columns have no gaps. `precision` is "", "tf32", "bf16" or "fp16", the
    last three for float32 only. Raises `BackendError` for other layouts.
    """
    target = _matrix(out)
    if target.transposed:
        a, b, target = b.T, a.T, target._replace(transposed=False)
    left, right = _matrix(a), _matrix(b)
    cublas, runtime, dtype = cp.cuda.cublas, cp.cuda.runtime, out.dtype.name
    kind = runtime.CUDA_R_64F if dtype == "float64" else runtime.CUDA_R_32F
    compute = "CUBLAS_COMPUTE_64F" if dtype == "float64" else COMPUTE[precision]
    operations = (cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T)
    handle = cp.cuda.device.get_cublas_handle()
    cublas.setPointerMode(handle, cublas.CUBLAS_POINTER_MODE_HOST)
    # cuBLAS is column-major and sees out transposed, so the operands are swapped: out.T = b.T a.T.
    cublas.gemmEx(
        handle,
        operations[right.transposed],
        operations[left.transposed],
        b.shape[1],
        a.shape[0],
        b.shape[0],
        _scalar(1, dtype).ctypes.data,
        right.pointer,
        kind,
        right.stride,
        left.pointer,
        kind,
        left.stride,
        _scalar(int(add), dtype).ctypes.data,
        target.pointer,
        kind,
        target.stride,
        getattr(cublas, compute),
        cublas.CUBLAS_GEMM_DEFAULT,
    )


def check_precision(precision: str, dtype: Any) -> None:
    """Raise `BackendError` unless this device supports products of that dtype in that precision."""
    if not precision:
        return
    if precision not in NEEDS:
        raise BackendError(f"precision is {precision!r}; expected {', '.join(NEEDS)}, or none")
    if np.dtype(dtype) != np.float32:
        raise BackendError(f"precision {precision} is for float32 parameters; these are {np.dtype(dtype)}")
    found = facts().sm
    if found < NEEDS[precision]:
        raise BackendError(
            f"precision {precision} needs a GPU of compute capability {NEEDS[precision] / 10}; "
            f"this one has {found / 10}: leave the precision out"
        )
