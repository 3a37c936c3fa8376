"""How the kernels of this folder are compiled.

Compiled when first called, once for each combination of argument types, then kept: see `cache.py`.

Between two parallel kernels the threads of GNU OpenMP spin for 2,000 turns of a loop, then sleep. With its own default,
many more, evaluating a text beside two busy programs on two cores took twice as long.

`error_model` says that dividing by zero raises nothing, without which LLVM vectorises no loop that divides.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba import prange, types
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils
from numba.extending import intrinsic

from . import cache, processor

processor.register_file()  # settles what Numba compiles for, which it asks when the first kernel is made
_FOLDER = cache.folder()
cache.mark_as_used(_FOLDER)
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # read when the first parallel kernel runs


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function for each combination of argument types that it is called with."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)
    compiled._cache = cache.KernelCache(function, _FOLDER)  # where `cache=True` would put Numba's own
    return compiled


class ShardedKernel:
    """A kernel f(*args, s, shards) that runs for each shard s < shards on a thread of its own.

    Called as `f(*args, shards=n)`, in which no two shards may write to the same place. With Numba's own way, a `prange`
    in each kernel, all that the kernel calls is compiled three times more; here a small launcher calls it by address.
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
            address = self._addresses[kinds] = self._compiled(*map(numba.typeof, args))
        numba.set_num_threads(shards)  # of whichever Python thread this is: Numba keeps a number for each
        _launch(address, shards, *_flat(args))

    def _compiled(self, *kinds: Any) -> int:
        """Compile the kernel for these types of arguments, or take what was kept; return where its code is."""
        signature = (*kinds, types.intp, types.intp)
        self.one.compile(signature)
        compiled = self.one.overloads[signature]
        address: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        return address


def _flat(args: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the members of a tuple and of those in it: compiled code is handed a tuple as its members, one by one."""
    for arg in args:
        if isinstance(arg, tuple):
            yield from _flat(arg)
        else:
            yield arg


@intrinsic
def _call(context, address, args, s, shards):
    """Call the kernel at `address` with args, a tuple, and s and shards."""
    kinds = (*args, types.intp, types.intp)

    def codegen(context, builder, signature, values):
        pointer, packed, s, shards = values
        convention = context.call_conv
        function = builder.inttoptr(pointer, convention.get_function_type(types.none, kinds).as_pointer())
        unpacked = cgutils.unpack_tuple(builder, packed, len(kinds) - 2)
        convention.call_function(builder, function, types.none, kinds, [*unpacked, s, shards])
        return context.get_dummy_value()

    return types.void(types.intp, args, types.intp, types.intp), codegen


@functools.partial(kernel, parallel=True)
def _launch(address, shards, *args):
    for s in prange(shards):
        _call(address, args, s, shards)  # type: ignore[call-arg]
