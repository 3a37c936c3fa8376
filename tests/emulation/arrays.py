"""Emulates the `cupy.ndarray` operations that launch a kernel or copy. Others raise, as without a device.

Each operation is checked when it is called and done when the stream runs it. Pinned memory is read and written at that
point; other host memory is read at once, as a copy from pageable memory is.
"""

from __future__ import annotations

import ctypes
from typing import Any

import cupy
import numpy as np

from tests.emulation.streams import Stream

pinned: dict[int, int] = {}  # address of a pinned block -> its size in bytes


def host(array: Any) -> np.ndarray:
    """Return an emulated array's memory as a NumPy array with the same strides."""
    if array.size == 0:
        return np.empty(array.shape, array.dtype)
    low = sum((size - 1) * min(stride, 0) for size, stride in zip(array.shape, array.strides, strict=True))
    high = sum((size - 1) * max(stride, 0) for size, stride in zip(array.shape, array.strides, strict=True))
    raw = (ctypes.c_char * (high - low + array.itemsize)).from_address(array.data.ptr + low)
    return np.ndarray(array.shape, array.dtype, raw, -low, array.strides)


def is_pinned(array: np.ndarray) -> bool:
    """True if a NumPy array lies in pinned memory."""
    at = array.ctypes.data
    return any(start <= at and at + array.nbytes <= start + size for start, size in pinned.items())


def alloc_pinned_memory(size: int) -> Any:
    """Stand in for `cupy.cuda.alloc_pinned_memory`: return a poisoned buffer."""
    made = type("PinnedMemoryPointer", (ctypes.c_char * size,), {"size": lambda self: size, "__del__": _unpin})()
    made.ptr = ctypes.addressof(made)
    ctypes.memset(made.ptr, 0xFF, size)
    pinned[made.ptr] = size
    return made


def _unpin(memory: Any) -> None:
    pinned.pop(memory.ptr, None)


def _operand(value: Any) -> Any:
    """Return the value to read when the work runs: an array's memory, or a number's current value."""
    if isinstance(value, cupy.ndarray):
        return host(value)
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}: use `set` for NumPy arrays")
    return value if isinstance(value, (bool, int, float, np.generic)) else np.asarray(value)[()]


def _write(target: np.ndarray, value: Any) -> None:
    with np.errstate(all="ignore"):
        if target.size:
            np.copyto(target, np.array(value), casting="unsafe")


def set_item(self: Any, key: Any, value: Any) -> None:
    """Stand in for `a[key] = value`, for a number or a device array."""
    keys = key if isinstance(key, tuple) else (key,)
    if not all(each is Ellipsis or each is None or isinstance(each, (int, slice, np.integer)) for each in keys):
        return _set_item(self, key, value)
    part = self[key]
    source = _operand(value)
    np.broadcast_shapes(part.shape, np.shape(source))
    if np.broadcast_shapes(part.shape, np.shape(source)) != part.shape:
        raise ValueError(f"could not broadcast {np.shape(source)} into {part.shape}")
    target = host(part)
    _launch(lambda: _write(target, source))
    return None


def add_in_place(self: Any, other: Any) -> Any:
    """Stand in for `a += other`, for a number or a device array."""
    source, target = _operand(other), host(self)
    if np.broadcast_shapes(target.shape, np.shape(source)) != target.shape:
        raise ValueError(f"non-broadcastable output operand with shape {target.shape}")
    if not np.can_cast(np.result_type(target, source), target.dtype, casting="same_kind"):
        raise TypeError(f"output of dtype {np.result_type(target, source)} cannot be added to {target.dtype}")

    def add() -> None:
        with np.errstate(all="ignore"):
            np.add(target, source, out=target, casting="same_kind")

    _launch(add)
    return self


def copy(self: Any, order: str = "C") -> Any:
    """Stand in for `a.copy()`."""
    if order not in ("C", "F"):
        raise NotImplementedError(f"copies of order {order} are not emulated")
    made = cupy.empty(self.shape, self.dtype, order=order)
    target, source = host(made), host(self)
    _launch(lambda: _write(target, source))
    return made


def fill(self: Any, value: Any) -> None:
    """Stand in for `a.fill(number)`."""
    target, source = host(self), _operand(value)
    if np.ndim(source):
        raise ValueError("fill expects a number, not an array")
    _launch(lambda: _write(target, source))


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """Stand in for `cupy.zeros`."""
    made = cupy.empty(shape, dtype, order=order)
    fill(made, 0)
    return made


def set_from(self: Any, arr: Any, stream: Stream | None = None) -> None:
    """Stand in for `a.set(NumPy array)`."""
    if not isinstance(arr, np.ndarray):
        raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
    if arr.dtype != self.dtype:
        raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
    if arr.shape != self.shape:
        raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
    if not (self.flags.c_contiguous or self.flags.f_contiguous):
        raise RuntimeError("Cannot set to non-contiguous array")
    same_order = arr.flags.c_contiguous if self.flags.c_contiguous else arr.flags.f_contiguous
    source = arr if is_pinned(arr) and same_order else arr.copy()
    target = host(self)
    Stream.counts.uploads += 1
    (stream or Stream.current).later(lambda: _write(target, source))


def get(self: Any, stream: Stream | None = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
    """Stand in for `a.get()`, which waits unless `blocking` is False."""
    if order not in ("C", "F", "A"):
        raise ValueError(f"unsupported order: {order}")
    result = np.empty(self.shape, self.dtype, order="F" if order == "F" else "C") if out is None else out
    if result.shape != self.shape or result.dtype != self.dtype:
        raise ValueError(f"out is {result.dtype} {result.shape}; expected {self.dtype} {self.shape}")
    if out is None or not is_pinned(out):
        _write(result, np.full((), 0xFF, np.uint8).astype(self.dtype) if self.dtype.kind != "f" else np.nan)
    source = host(self)
    queue = stream or Stream.current
    number = queue.later(lambda: _write(result, source))
    if blocking:
        Stream.counts.synchronisations += 1
        queue.until(number)
    return result


def _launch(work: Any) -> None:
    Stream.counts.launches += 1
    Stream.current.later(work)


_set_item = cupy.ndarray.__setitem__
METHODS = {
    "__setitem__": set_item,
    "__iadd__": add_in_place,
    "copy": copy,
    "fill": fill,
    "set": set_from,
    "get": get,
}
