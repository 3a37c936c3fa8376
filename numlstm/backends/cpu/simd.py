"""Vector code for Numba kernels, written as expressions.

LLVM does not find a good register tile by itself, so the kernels in this folder emit their own vector
instructions. This layer keeps that readable: a `Vec` is a register with `+ - * /`, an `Emitter` loads,
stores and loops, and `vector_code` turns a Python function that emits such code into one that a
Numba-compiled function can call.

The last axis of an array passed to vector code must be contiguous.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .processor import lanes, register_file

INDEX = ir.IntType(64)
PAIR = ir.IntType(32)  # two bf16 numbers, the first in the lower half


class Vec:
    """The value of a vector register in emitted code."""

    def __init__(self, emit: Emitter, value: ir.Value) -> None:
        self.emit, self.value = emit, value

    def __add__(self, other: Vec | float) -> Vec:
        return self.emit.binary("fadd", self, other)

    def __sub__(self, other: Vec | float) -> Vec:
        return self.emit.binary("fsub", self, other)

    def __rsub__(self, other: float) -> Vec:
        return self.emit.binary("fsub", self.emit.vec(other), self)

    def __mul__(self, other: Vec | float) -> Vec:
        return self.emit.binary("fmul", self, other)

    def __truediv__(self, other: Vec | float) -> Vec:
        return self.emit.binary("fdiv", self, other)

    def __rtruediv__(self, other: float) -> Vec:
        return self.emit.binary("fdiv", self.emit.vec(other), self)

    def __neg__(self) -> Vec:
        return Vec(self.emit, self.emit.builder.fneg(self.value))

    __radd__ = __add__
    __rmul__ = __mul__


class View:
    """An array in vector code: a pointer to its first element, its shape, and its strides in elements."""

    def __init__(self, emit: Emitter, pointer: ir.Value, shape: list[ir.Value], strides: list[ir.Value]) -> None:
        self.emit, self.pointer, self.shape, self.strides = emit, pointer, shape, strides

    def at(self, *place: ir.Value | int) -> ir.Value:
        """Return the address of the element at `place`; omitted indices are 0."""
        builder, pointer = self.emit.builder, self.pointer
        for index, stride in zip(place, self.strides, strict=False):
            step = self.emit.index(index) if isinstance(index, int) else index
            pointer = self.emit.move(pointer, builder.mul(step, stride))
        return pointer

    def skip(self, count: ir.Value, axis: int = 0) -> View:
        """Return the view without the first `count` entries along an axis."""
        step = self.emit.builder.mul(count, self.strides[axis])
        shape = list(self.shape)
        shape[axis] = self.emit.builder.sub(shape[axis], count)
        return View(self.emit, self.emit.move(self.pointer, step), shape, self.strides)

    def __getitem__(self, index: ir.Value) -> View:
        """Return the view at `index` along the first axis."""
        return View(self.emit, self.at(index), self.shape[1:], self.strides[1:])

    @property
    def T(self) -> View:
        """The transposed view of a matrix."""
        return View(self.emit, self.pointer, self.shape[::-1], self.strides[::-1])


class Loop:
    """An emitted loop: its index and the values carried from one iteration to the next."""

    def __init__(self, index: ir.Value, carried: Sequence[Vec]) -> None:
        self.index, self.carried = index, list(carried)


class Emitter:
    """Emits vector code for one element type at the position of `builder`."""

    def __init__(self, builder: ir.IRBuilder, element: ir.Type) -> None:
        self.builder, self.element = builder, element
        self.itemsize = 8 if isinstance(element, ir.DoubleType) or element == INDEX else 4
        self.lanes = lanes(self.itemsize)
        self.vector = ir.VectorType(element, self.lanes)
        self.bits = ir.VectorType(ir.IntType(8 * self.itemsize), self.lanes)

    def index(self, value: int) -> ir.Value:
        """Return a constant index."""
        return ir.Constant(INDEX, value)

    def move(self, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """Return `pointer` advanced by `offset` elements."""
        step = self.index(offset) if isinstance(offset, int) else offset
        return self.builder.gep(pointer, [step], source_etype=self.element)

    def vec(self, value: float | ir.Value) -> Vec:
        """Return a vector with `value`, a constant or a scalar register, in every lane."""
        if isinstance(value, (int, float)):
            number = int(value) if isinstance(self.element, ir.IntType) else float(value)
            return Vec(self, ir.Constant(self.vector, [ir.Constant(self.element, number)] * self.lanes))
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None)
        return Vec(self, self.builder.shuffle_vector(one, undefined, zeros))

    def binary(self, name: str, a: Vec, b: Vec | float) -> Vec:
        other = b if isinstance(b, Vec) else self.vec(b)
        return Vec(self, getattr(self.builder, name)(a.value, other.value))

    def call(self, name: str, *args: Vec | ir.Value, returns: ir.Type | None = None) -> Any:
        """Call an LLVM intrinsic, given by its full name; return a vector result as a `Vec`."""
        values = [arg.value if isinstance(arg, Vec) else arg for arg in args]
        result = self.vector if returns is None else returns
        kind = ir.FunctionType(result, [value.type for value in values])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        value = self.builder.call(function, values)
        return Vec(self, value) if result == self.vector else value

    @property
    def suffix(self) -> str:
        kind = "i" if isinstance(self.element, ir.IntType) else "f"
        return f"v{self.lanes}{kind}{8 * self.itemsize}"

    def fma(self, a: Vec, b: Vec | float, c: Vec | float) -> Vec:
        """Return a * b + c, rounded once if the processor has fused multiply-add."""
        b, c = (x if isinstance(x, Vec) else self.vec(x) for x in (b, c))
        if not register_file().fma:
            return a * b + c
        return self.call(f"llvm.fma.{self.suffix}", a, b, c)  # type: ignore[no-any-return]

    def maximum(self, a: Vec, b: Vec | float) -> Vec:
        """Return the larger value in each lane; a NaN in `a` is propagated."""
        return self._select("ogt", a, b)

    def minimum(self, a: Vec, b: Vec | float) -> Vec:
        """Return the smaller value in each lane; a NaN in `a` is propagated."""
        return self._select("olt", a, b)

    def _select(self, order: str, a: Vec, b: Vec | float) -> Vec:
        b = b if isinstance(b, Vec) else self.vec(b)
        lost = self.builder.fcmp_ordered({"ogt": "<", "olt": ">"}[order], a.value, b.value)
        return Vec(self, self.builder.select(lost, b.value, a.value))

    def rotate(self, vec: Vec, step: int) -> Vec:
        """Return the vector with each lane moved down by `step`; the first lanes wrap around to the end."""
        return self.shuffle(vec, vec, [(lane + step) % self.lanes for lane in range(self.lanes)])

    def shuffle(self, a: Vec, b: Vec, places: Sequence[int]) -> Vec:
        """Return the lanes at the indices `places` of `a` and `b` concatenated."""
        numbers = [ir.Constant(ir.IntType(32), place) for place in places]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), numbers)
        return Vec(self, self.builder.shuffle_vector(a.value, b.value, mask))

    def load(self, pointer: ir.Value) -> Vec:
        return Vec(self, self.builder.load(pointer, typ=self.vector, align=self.itemsize))

    def prefetch(self, pointer: ir.Value) -> None:
        """Prefetch the cache line at `pointer` into the L2 cache; any address is safe."""
        how = [ir.Constant(ir.IntType(32), number) for number in (0, 2, 1)]  # for reading, L2, data cache
        self.call("llvm.prefetch.p0", pointer, *how, returns=ir.VoidType())

    def store(self, vec: Vec, pointer: ir.Value) -> None:
        typed = self.builder.bitcast(pointer, self.vector.as_pointer())
        self.builder.store(vec.value, typed, align=self.itemsize)

    def broadcast(self, pointer: ir.Value) -> Vec:
        """Return a vector with the scalar at `pointer` in every lane."""
        return self.vec(self.builder.load(pointer, typ=self.element, align=self.itemsize))

    def first(self, count: ir.Value) -> ir.Value:
        """Return the mask of the first `count` lanes, or of all lanes if `count` is larger."""
        kind = ir.VectorType(ir.IntType(32), self.lanes)
        ramp = ir.Constant(kind, [ir.Constant(ir.IntType(32), lane) for lane in range(self.lanes)])
        small = self.builder.trunc(count, ir.IntType(32))
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), small, ir.Constant(ir.IntType(32), 0))
        bound = self.builder.shuffle_vector(one, one, ir.Constant(kind, None))
        return self.builder.icmp_signed("<", ramp, bound)

    def load_masked(self, pointer: ir.Value, mask: ir.Value, fill: float = 0.0) -> Vec:
        """Load the lanes in `mask`; the others become `fill`, and their memory is not accessed."""
        align = ir.Constant(ir.IntType(32), self.itemsize)
        name = f"llvm.masked.load.{self.suffix}.p0"
        return self.call(name, pointer, align, mask, self.vec(fill))  # type: ignore[no-any-return]

    def store_masked(self, vec: Vec, pointer: ir.Value, mask: ir.Value) -> None:
        """Store the lanes in `mask`; the memory of the others is not accessed."""
        align = ir.Constant(ir.IntType(32), self.itemsize)
        self.call(f"llvm.masked.store.{self.suffix}.p0", vec, pointer, align, mask, returns=ir.VoidType())

    @contextmanager
    def loop(self, count: ir.Value, carried: Sequence[Vec] = ()) -> Iterator[Loop]:
        """Context manager: emit a loop over 0 .. count-1; the body puts each iteration's results into `carried`.

        After the block `carried` holds the loop's final values, or the initial ones if `count` is 0.
        """
        builder, before = self.builder, self.builder.block
        body, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed(">", count, self.index(0)), body, after)
        builder.position_at_end(body)
        index = builder.phi(INDEX)
        index.add_incoming(self.index(0), before)
        entering = [builder.phi(self.vector) for _ in carried]
        for phi, vec in zip(entering, carried, strict=True):
            phi.add_incoming(vec.value, before)
        turn = Loop(index, [Vec(self, phi) for phi in entering])
        yield turn
        end, following = builder.block, builder.add(index, self.index(1))
        index.add_incoming(following, end)
        for phi, vec in zip(entering, turn.carried, strict=True):
            phi.add_incoming(vec.value, end)
        builder.cbranch(builder.icmp_signed("<", following, count), body, after)
        builder.position_at_end(after)
        leaving = [builder.phi(self.vector) for _ in carried]
        for phi, old, new in zip(leaving, carried, turn.carried, strict=True):
            phi.add_incoming(old.value, before)
            phi.add_incoming(new.value, end)
        turn.carried = [Vec(self, phi) for phi in leaving]


def vector_code(write: Callable[..., None]) -> Any:
    """Turn `write(emit, *args)` into a function that Numba-compiled code can call; it returns nothing.

    Arrays arrive as `View`s (integer arrays as `View`s whose emitter has that element type), integers as
    indices, floats unchanged. The first float array determines the element type of the vectors.
    """

    def typing(context: Any, *args: Any) -> Any:
        widened = [types.int64 if isinstance(arg, types.Integer) else arg for arg in args]
        return types.void(*widened), codegen

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arrays = (kind.dtype for kind in signature.args if isinstance(kind, types.Array))
        element = next((dtype for dtype in arrays if dtype in types.real_domain), types.float32)
        emit = Emitter(builder, context.get_value_type(element))
        write(emit, *(_lower(context, emit, k, v) for k, v in zip(signature.args, values, strict=True)))
        return context.get_dummy_value()

    typing.__name__ = write.__name__
    typing.__doc__ = write.__doc__
    # Numba binds a call's arguments to the names in this signature; the first is the typing context.
    typing.__signature__ = inspect.signature(write)  # type: ignore[attr-defined]
    return intrinsic(typing)


def _lower(context: Any, emit: Emitter, kind: Any, value: ir.Value) -> Any:
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, emit.builder, value)
    element = context.get_value_type(kind.dtype)
    if element != emit.element:
        emit = Emitter(emit.builder, element)
    size = emit.index(context.get_abi_sizeof(element))
    shape, strides = (cgutils.unpack_tuple(emit.builder, packed, kind.ndim) for packed in (array.shape, array.strides))
    strides = [emit.builder.sdiv(stride, size, flags=["exact"]) for stride in strides[:-1]] + [emit.index(1)]
    return View(emit, array.data, shape, strides)
