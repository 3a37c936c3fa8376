"""Compilation of the kernels in this folder.

A kernel is compiled when first called, once for each combination of argument types, then cached: see `cache.py`.

Between two parallel kernels the threads of GNU OpenMP spin for 2,000 iterations, then sleep. With OpenMP's default of
many more, evaluating a text beside two busy programs on two cores took twice as long.

With `error_model="numpy"` division by zero raises nothing; otherwise LLVM vectorises no loop that divides.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numba
from llvmlite import ir
from numba import prange, types
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils
from numba.extending import intrinsic

from . import cache, processor

processor.register_file()  # sets Numba's target processor, which it reads when the first kernel is made
_FOLDER = cache.folder()
cache.mark_as_used(_FOLDER)
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # read when the first parallel kernel runs


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function for each combination of argument types that it is called with."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)
    compiled._cache = cache.KernelCache(function, _FOLDER)  # where `cache=True` would put Numba's own
    return compiled


class ShardedKernel:
    """A kernel f(*args, s, shards) that runs once for each shard s < shards, each on its own thread.

    Call it as `f(*args, shards=n)`. No two shards may write to the same place. A `prange` in each kernel would compile
    everything the kernel calls three more times. A launcher with a `prange` takes several times as long to compile as
    `_launch`, which is compiled for each combination of types; `_spread` is compiled only once.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.one = kernel(function)
        self._addresses: dict[bytes, int] = {}

    def __call__(self, *args: Any, shards: int) -> None:
        if shards == 1:
            self.one(*args, 0, 1)
            return
        kinds = compute_fingerprint(args)
        address = self._addresses.get(kinds)
        if address is None:
            address = self._addresses[kinds] = _address(self.one, *map(numba.typeof, args), types.intp, types.intp)
        numba.set_num_threads(shards)  # Numba keeps this number per Python thread
        _launch(_spread_address(), address, shards, *_flat(args))


def _address(compiled: Any, *signature: Any) -> int:
    """Compile a kernel for these argument types, or load it from the cache; return the address of its code."""
    compiled.compile(signature)
    found = compiled.overloads[signature]
    address: int = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)
    return address


@functools.cache
def _spread_address() -> int:
    return _address(_spread, *_SPREAD)


def _flat(args: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the members of a tuple and of nested tuples: compiled code receives tuples flattened."""
    for arg in args:
        if isinstance(arg, tuple):
            yield from _flat(arg)
        else:
            yield arg


_SPREAD = (types.intp, types.intp, types.intp)


@intrinsic
def _launch_shards(context, spread, address, shards, args):
    """Call the kernel at `address` with the tuple `args`, s and shards for each s, through `_spread` at `spread`."""

    def codegen(context, builder, signature, values):
        spread, address, shards, packed = values
        unpacked = cgutils.unpack_tuple(builder, packed, len(args))
        block = cgutils.pack_struct(builder, [address, *unpacked])
        memory = cgutils.alloca_once_value(builder, block)
        shard = _shard_code(context.call_conv, builder.module, block.type, (*args, types.intp, types.intp))
        pointers = [builder.ptrtoint(pointer, spread.type) for pointer in (shard, memory)]
        _call(context.call_conv, builder, spread, _SPREAD, [*pointers, shards])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, args), codegen


def _shard_code(convention, module, block_type, kinds):
    """Add a function of a block's address, s and shards to `module`: it calls the kernel with the block's values."""
    signature = ir.FunctionType(ir.VoidType(), [cgutils.intp_t] * 3)
    code = ir.Function(module, signature, module.get_unique_name("shard"))
    code.linkage = "internal"
    builder = ir.IRBuilder(code.append_basic_block())
    block, s, shards = code.args
    loaded = builder.load(builder.inttoptr(block, block_type.as_pointer()), typ=block_type)
    address, *unpacked = (builder.extract_value(loaded, n) for n in range(len(block_type.elements)))
    _call(convention, builder, address, kinds, [*unpacked, s, shards])
    builder.ret_void()
    return code


def _call(convention, builder, address, kinds, values):
    """Call the compiled function at `address`, which returns nothing."""
    function = builder.inttoptr(address, convention.get_function_type(types.none, kinds).as_pointer())
    convention.call_function(builder, function, types.none, kinds, values)


@intrinsic
def _run_shard(context, shard, block, s, shards):
    """Call the code at `shard`, which `_launch_shards` made."""

    def codegen(context, builder, signature, values):
        shard, *arguments = values
        code = ir.FunctionType(ir.VoidType(), [value.type for value in arguments])
        builder.call(builder.inttoptr(shard, code.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), codegen


@kernel
def _launch(spread, address, shards, *args):
    _launch_shards(spread, address, shards, args)  # type: ignore[call-arg]


@functools.partial(kernel, parallel=True)
def _spread(shard, block, shards):
    for s in prange(shards):
        _run_shard(shard, block, s, shards)  # type: ignore[call-arg]
