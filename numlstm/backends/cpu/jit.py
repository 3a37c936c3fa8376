"""Compilation of the kernels in this folder.

A kernel is compiled when first called, once for each combination of argument types, then cached: see `cache.py`.

Between two parallel kernels the threads of GNU OpenMP spin for 2,000 iterations, then sleep. With OpenMP's default of
many more, evaluating a text beside two busy programs on two cores took twice as long.

With `error_model="numpy"` division by zero raises nothing; otherwise LLVM vectorises no loop that divides.

Shards may wait for each other with `meet`, which needs every shard on a thread of its own: see `can_meet`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.ufunc.parallel import threading_layer

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


COUNTER_SIZE = 16  # int64 numbers in a counter: two cache lines, because processors fetch lines in pairs
_SPINS = 2000  # polls before a waiting thread lets others run: without that a busy machine is ten times slower
_TRIAL_POLLS = 2_000_000  # a second or more
_YIELD = "numlstm_yield"


def _register_yield() -> bool:
    """Tell LLVM the address of the system's function that lets another thread run; False if there is none.

    Compiled kernels in the cache refer to it by name, so it is registered before any is loaded.
    """
    try:
        library = ctypes.WinDLL("kernel32") if os.name == "nt" else ctypes.CDLL(None)  # type: ignore[attr-defined]
        function = library.SwitchToThread if os.name == "nt" else library.sched_yield
    except (OSError, AttributeError):
        return False
    llvmlite.binding.add_symbol(_YIELD, ctypes.cast(function, ctypes.c_void_p).value)
    return True


_CAN_YIELD = _register_yield()


def _pause_instruction() -> tuple[Any, ...]:
    """Return the name and the arguments of LLVM's intrinsic that tells the processor that a thread is waiting."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64", "i686"):
        return ("llvm.x86.sse2.pause",)
    return ("llvm.aarch64.hint", 1) if machine in ("aarch64", "arm64") else ()


def _call_named(builder, name="", *numbers):
    """Call the function `name` with int32 constants and ignore what it returns; without a name do nothing."""
    if name:
        values = [ir.Constant(ir.IntType(32), number) for number in numbers]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


def _counter(context, builder, kind, flags, shard):
    """Return the address of a shard's counter."""
    first = context.make_array(kind)(context, builder, flags).data
    place = builder.mul(shard, ir.Constant(cgutils.intp_t, COUNTER_SIZE))
    return builder.gep(first, [place], source_etype=cgutils.intp_t)


@intrinsic
def _publish(context, flags, s, n):
    """Set the counter of shard s to n, after all that the shard has written so far."""

    def codegen(context, builder, signature, values):
        builder.store_atomic(values[2], _counter(context, builder, signature.args[0], *values[:2]), "release", 8)
        return context.get_dummy_value()

    return types.void(flags, types.int64, types.int64), codegen


@intrinsic
def _published(context, flags, s):
    """Return the counter of shard s; what that shard wrote before, this one can now read."""

    def codegen(context, builder, signature, values):
        counter = _counter(context, builder, signature.args[0], *values)
        return builder.load_atomic(counter, "acquire", 8, typ=cgutils.intp_t)

    return types.int64(flags, types.int64), codegen


@intrinsic
def _pause(context):
    """Leave the core's resources to its other hardware thread for a moment."""

    def codegen(context, builder, signature, values):
        _call_named(builder, *_pause_instruction())
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _give_way(context):
    """Let another thread run on this core, if the system has a function for that."""

    def codegen(context, builder, signature, values):
        _call_named(builder, _YIELD if _CAN_YIELD else "")
        return context.get_dummy_value()

    return types.void(), codegen


@kernel
def meet(flags, s, n, shards):
    """Set the counter of shard s to n, then wait until the counters of all shards are at least n.

    `flags (shards, COUNTER_SIZE)`, int64, has a row for each shard and starts at 0; n grows from meeting to meeting.
    What a shard wrote before a meeting, all can read after it. Call `can_meet` before a kernel that meets.
    """
    if shards > 1:
        _publish(flags, s, n)  # type: ignore[call-arg]
        for other in range(shards):
            polls = 0
            while _published(flags, other) < n:
                _pause()
                polls += 1
                if polls > _SPINS:
                    _give_way()


@functools.cache
def can_meet(shards: int) -> bool:
    """Return whether that many shards run at the same time, each on its own thread, so that they can meet.

    The `prange` over the shards has as many iterations as threads, and Numba's scheduler gives each thread one. Two of
    its layers then run all of them at once: `workqueue`, whose workers have a queue each, and `omp`, unless OpenMP
    takes fewer threads than it is asked for (OMP_DYNAMIC, OMP_THREAD_LIMIT). `tbb` runs an iteration when some thread
    is free, so one thread may run all in turn: shards never meet there. A trial that gives up confirms it.
    """
    if shards == 1:
        return True
    met = np.zeros(shards, np.int64)
    _try_to_meet(np.zeros((shards, COUNTER_SIZE), np.int64), met, _TRIAL_POLLS, shards=shards)
    dynamic = os.environ.get("OMP_DYNAMIC", "").strip().lower() in ("true", "1")
    return bool(met.all()) and threading_layer() != "tbb" and not dynamic


@ShardedKernel
def _try_to_meet(flags, met, polls, s, shards):
    """Set met[s] to 1 if this shard sees the counters of all others before it has polled them too often."""
    _publish(flags, s, 1)  # type: ignore[call-arg]
    other = 0
    for _ in range(polls):
        while other < shards and _published(flags, other):
            other += 1
        if other == shards:
            met[s] = 1
            return
        _give_way()
