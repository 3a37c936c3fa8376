"""Packed weights: panels of registers, padded with zeros, in the order in which kernels read them; and their update.

A gate panel holds the four gates of `lanes` units side by side, so that one tile computes all that these
units need. Padded units have zero weights, so their state stays zero. For bf16 products two consecutive rows of a panel
form one row of pairs. Every weight is packed twice: as it is for the forward pass and transposed for the backward pass.
One pass over blocks of rows does both. It first applies Adam's update to a block, while the block is in the cache.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir

from ..spec.variant import Variant
from . import bf16
from .adam_kernels import adam, adam_chunk
from .jit import ShardedKernel
from .processor import lanes, tiles_missing
from .product import TILE_WIDTH
from .simd import PAIR, Emitter, Vec, View, vector_code

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class PackedVariant:
    """A layer's additions to the plain LSTM: `W_p` or None, the norms' weights in panels, and `hard` for hard gates.

    gain, b (P, 4 lanes), c_gain, c_bias (P, lanes); P is 0 without layer norm.
    """

    W_p: PackedDense | None
    gain: Array
    b: Array
    c_gain: Array
    c_bias: Array
    hard: bool


@dataclasses.dataclass(frozen=True)
class PackedLSTM:
    """One layer's weights, packed in P = ceil(H / lanes) gate panels with 4 P lanes columns in all.

    `start` holds the initial values of the gates' sums: b + W_x[d] for each token d, (D, P, 4, lanes), or b alone,
    (1, P, 4, lanes), if the input is activations; with layer norm b is left out. `W_x (P, D, 4 lanes)` is empty for
    tokens. `W_h` is (P, R, 4 lanes), where R is the size of h. `W_x_T`, `W_h_T (panels, columns, 4 lanes)` are for the
    backward pass. With bf16 these four hold pairs of rows, so half as many rows. `weights` are the original W_x, W_h
    and b. `variant` is None for a plain layer.
    """

    input_size: int
    hidden_size: int
    tokens: bool
    weights: tuple[Array, Array, Array]
    start: Array
    W_x: Array
    W_h: Array
    W_x_T: Array
    W_h_T: Array
    variant: PackedVariant | None = None

    @property
    def lanes(self) -> int:
        return int(self.start.shape[3])

    @property
    def normed(self) -> bool:
        """True if the layer has layer norm."""
        return self.variant is not None and self.variant.gain.size > 0

    @property
    def pairs(self) -> bool:
        """True if products use bf16 pairs."""
        return bool(self.W_h.dtype == np.int32)

    @property
    def tiled(self) -> bool:
        """True if products are computed in tiles."""
        return self.pairs and not tiles_missing()


@dataclasses.dataclass(frozen=True)
class PackedDense:
    """A dense layer: `W (panels, H, width)`, and `W_T (panels, V, width)` for the backward pass.

    `weights` are the original W and b. With products in tiles, W and W_T hold pairs of rows, so half as many rows.
    """

    weights: tuple[Array, Array]
    W: Array
    W_T: Array

    @property
    def lanes(self) -> int:
        return int(self.W.shape[2]) // TILE_WIDTH

    @property
    def pairs(self) -> bool:
        """True if products use bf16 pairs."""
        return bool(self.W.dtype == np.int32)


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return zeros that start at a cache line, so that loading a register does not straddle two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw: Array = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return np.reshape(raw[start : start + size].view(dtype), shape)


def row_size(size: int, dtype: Any) -> int:
    """Return the padded length of a row of `size` numbers: an odd number of cache lines.

    Rows an even number of lines apart, above all a power of two, map to few cache sets: with 512 units products took
    1.15 times as long.
    """
    line = 64 // int(np.dtype(dtype).itemsize)
    return (-(-size // line) | 1) * line


def panels(size: int, width: int) -> int:
    """Return the number of panels of `width` that cover `size`."""
    return -(-size // width)


def _weights(count: int, rows: int, width: int, dtype: Any) -> Array:
    """Return `count` zeroed panels of `rows` rows; for int32, of half as many rows of pairs, for tiles in sixteens."""
    if dtype == np.int32:
        rows = -(-rows // 32) * 16 if not tiles_missing() else -(-rows // 2)
    return aligned((count, rows, width), dtype)


def new_lstm(weights: tuple[Array, Array, Array], tokens: bool, pairs: bool) -> PackedLSTM:
    """Return an empty `PackedLSTM` for W_x, W_h and b; the input is token ids if `tokens`, else activations."""
    D, R, H, dtype = len(weights[0]), len(weights[1]), len(weights[2]) // 4, weights[1].dtype
    VL = lanes(dtype.itemsize)
    P, width = panels(H, VL), TILE_WIDTH * VL
    inputs, kind = 0 if tokens else D, np.int32 if pairs else dtype
    return PackedLSTM(
        input_size=D,
        hidden_size=H,
        tokens=tokens,
        weights=weights,
        start=aligned((D if tokens else 1, P, 4, VL), dtype),
        W_x=_weights(P, inputs, width, kind),
        W_h=_weights(P, R, width, kind),
        W_x_T=_weights(panels(inputs, width), P * width, width, kind),
        W_h_T=_weights(panels(R, width), P * width, width, kind),
    )


def new_dense(weights: tuple[Array, Array], pairs: bool = False) -> PackedDense:
    """Return an empty `PackedDense` for W and b, with `pairs` of bf16 numbers or in their own dtype."""
    (H, V), dtype = weights[0].shape, weights[0].dtype
    width = TILE_WIDTH * lanes(dtype.itemsize)
    return PackedDense(
        weights=weights,
        W=_weights(panels(V, width), H, width, np.int32 if pairs else dtype),
        W_T=_weights(panels(H, width), V, width, np.int32 if pairs else dtype),
    )


@vector_code
def _pack_tile(emit: Emitter, W: View, valid: ir.Value, out: View, out_T: View) -> None:
    """Pack a block of at most `lanes` rows and columns of W, as it is and transposed."""
    rows = []
    for r in range(emit.lanes):
        there = emit.builder.icmp_signed("<", emit.index(r), W.shape[0])
        mask = emit.first(emit.builder.select(there, valid, emit.index(0)))
        rows.append(emit.load_masked(W.at(r), mask))
    for block, target in ((rows, out), (transposed(emit, rows), out_T)):
        if target.emit.element == PAIR:
            block = [bf16.pair(emit, *block[n : n + 2]) for n in range(0, emit.lanes, 2)]
        for n, vec in enumerate(block):
            there = emit.builder.icmp_signed("<", emit.index(n), target.shape[0])
            mask = emit.first(emit.builder.select(there, emit.index(emit.lanes), emit.index(0)))
            target.emit.store_masked(vec, target.at(n), mask)


def transposed(emit: Emitter, rows: list[Vec]) -> list[Vec]:
    """Return the columns of a square block: swap its off-diagonal quarters, then those of each quarter, and so on."""
    rows, VL = list(rows), emit.lanes
    step = VL // 2
    while step:
        left = [n if not n & step else VL + n - step for n in range(VL)]
        right = [n + step if not n & step else VL + n for n in range(VL)]
        for n in range(VL):
            if not n & step:
                a, b = rows[n], rows[n + step]
                rows[n], rows[n + step] = emit.shuffle(a, b, left), emit.shuffle(a, b, right)
        step //= 2
    return rows


@vector_code
def _start_row(emit: Emitter, b: View, row: View, add: ir.Value, out: View) -> None:
    """out (P, 4, lanes) = b + row if `add`, else b, reordered from (4H) to gate panels."""
    H = emit.builder.sdiv(b.shape[0], emit.index(4))
    with emit.loop(out.shape[0]) as loop:
        first = emit.builder.mul(loop.index, emit.index(emit.lanes))
        mask = emit.first(emit.builder.sub(H, first))
        for gate in range(4):
            column = emit.builder.add(emit.builder.mul(emit.index(gate), H), first)
            bias, more = (emit.load_masked(emit.move(view.pointer, column), mask) for view in (b, row))
            total = emit.builder.select(add, (bias + more).value, bias.value)
            emit.store(Vec(emit, total), out.at(loop.index, gate))


@ShardedKernel
def _renew_panels(W, dW, m, v, rule, gates, VL, fold, out, out_T, s, shards):
    """Update W (K, N) by Adam unless the rule is empty, then pack it: by the four `gates`, else by adjacent columns.

    `fold` rows of W share one packed row: 2 for pairs, else 1.
    """
    K, N = W.shape
    width = out.shape[2]
    step, wide, size, less = (N // 4, VL, N // 4, 0) if gates else (VL, width, N, VL)
    blocks = (K + VL - 1) // VL
    for block in range(s * blocks // shards, (s + 1) * blocks // shards):
        low, high = block * VL, min((block + 1) * VL, K)
        if rule.shape[0]:
            for k in range(low, high):
                adam_chunk(W[k], dW[k], m[k], v[k], rule)
        q, n = low // width, low % width
        for p in range(out.shape[0]):
            for g in range(TILE_WIDTH):
                valid = size - p * wide - g * less
                if valid > 0:
                    column, row = p * wide + g * step, (p * TILE_WIDTH + g) * VL
                    _pack_tile(
                        W[low:high, column:],
                        valid,
                        out[p, low // fold :, g * VL :],
                        out_T[q, row // fold :, n:],
                    )


@ShardedKernel
def _renew_start(W_x, dW_x, m, v, rule, b, tokens, start, s, shards):
    """Set start to b; for tokens, update W_x by Adam unless the rule is empty, then set start to b + W_x."""
    for d in range(s * start.shape[0] // shards, (s + 1) * start.shape[0] // shards):
        if tokens and rule.shape[0]:
            adam_chunk(W_x[d], dW_x[d], m[d], v[d], rule)
        _start_row(b, W_x[d], tokens, start[d])


@dataclasses.dataclass(frozen=True)
class PendingUpdate:
    """A pending update: the flat arrays of parameters, gradients, m and v, and the rule (see `adam_kernels.py`)."""

    flat: tuple[Array, Array, Array, Array]
    rule: Array

    def of(self, weight: Array) -> tuple[Array, ...]:
        """Return a weight, its gradient, m and v, and the rule.

        Raises `ValueError` if the weight is not a view of the parameters.
        """
        start = (weight.ctypes.data - self.flat[0].ctypes.data) // weight.itemsize
        if not 0 <= start <= self.flat[0].size - weight.size:
            raise ValueError("the packed weights are not part of the parameters; expected views of the updated array")
        return (*(part[start : start + weight.size].reshape(weight.shape) for part in self.flat), self.rule)


def _updating(weight: Array, learning: PendingUpdate | None) -> tuple[Array, ...]:
    if learning is None:
        return (weight, weight, weight, weight, np.empty(0, weight.dtype))
    return learning.of(weight)


def new_variant(variant: Variant, weights: tuple[Array, Array, Array]) -> PackedVariant:
    """Return an empty `PackedVariant` for a layer with the weights W_x, W_h and b."""
    H, dtype = weights[2].size // 4, weights[2].dtype
    VL = lanes(dtype.itemsize)
    P = panels(H, VL) if variant.gain is not None else 0
    W_p = None if variant.W_p is None else new_dense((variant.W_p, np.zeros(len(weights[1]), dtype)))
    gain, b, c_gain, c_bias = (aligned((P, width), dtype) for width in (4 * VL, 4 * VL, VL, VL))
    return PackedVariant(W_p, gain, b, c_gain, c_bias, variant.hard)


def repack_variant(packed: PackedVariant, variant: Variant, b: Array, shards: int) -> None:
    """Pack the current weights of a layer's projection and norms."""
    if packed.W_p is not None:
        repack_dense(dataclasses.replace(packed.W_p, weights=(variant.W_p, packed.W_p.weights[1])), shards)
    if variant.gain is not None:
        for out, values in ((packed.gain, variant.gain), (packed.b, b), (packed.c_gain, variant.c_gain)):
            _to_panels(values, out)
        _to_panels(variant.c_bias, packed.c_bias)


def _to_panels(values: Array, out: Array) -> None:
    """Copy values (G H) into out (P, G lanes): each panel gets `lanes` units of each of the G groups."""
    VL, H, G = _group_shape(values.size, out)
    for p in range(len(out)):
        for g in range(G):
            here = values[g * H + p * VL : min(g * H + (p + 1) * VL, (g + 1) * H)]
            out[p, g * VL : g * VL + len(here)] = here


def from_panels(panelled: Array, size: int) -> Array:
    """Return the values (G H) of panels (P, G lanes): the inverse of `_to_panels`."""
    VL, H, G = _group_shape(size, panelled)
    grouped: Array = panelled.reshape(len(panelled), G, VL).transpose(1, 0, 2).reshape(G, -1)[:, :H].reshape(-1)
    return grouped


def _group_shape(size: int, panelled: Array) -> tuple[int, int, int]:
    VL = lanes(panelled.itemsize)
    G = panelled.shape[1] // VL
    return VL, size // G, G


def repack_lstm(packed: PackedLSTM, shards: int, learning: PendingUpdate | None = None) -> None:
    """Pack a layer's weights, after the update `learning` if given."""
    W_x, W_h, b = packed.weights
    if learning is not None:
        adam(*learning.of(b), shards=1)
    fold, VL = 2 if packed.pairs else 1, packed.lanes
    _renew_panels(*_updating(W_h, learning), True, VL, fold, packed.W_h, packed.W_h_T, shards=shards)
    if not packed.tokens:
        _renew_panels(*_updating(W_x, learning), True, VL, fold, packed.W_x, packed.W_x_T, shards=shards)
    bias = np.zeros_like(b) if packed.normed else b
    _renew_start(*_updating(W_x, learning), bias, packed.tokens, packed.start, shards=shards)


def repack_dense(packed: PackedDense, shards: int, learning: PendingUpdate | None = None) -> None:
    """Pack a dense layer's weights, after the update `learning` if given."""
    W, b = packed.weights
    if learning is not None:
        adam(*learning.of(b), shards=1)
    fold = 2 if packed.pairs else 1
    _renew_panels(*_updating(W, learning), False, packed.lanes, fold, packed.W, packed.W_T, shards=shards)


def lstm_as_float32(packed: PackedLSTM, shards: int, reuse: PackedLSTM | None = None) -> PackedLSTM:
    """Return a layer packed for float32 products, for kernels that have no others; `reuse` gives the memory."""
    if not packed.pairs:
        return packed
    found = reuse or new_lstm(packed.weights, packed.tokens, False)
    found = dataclasses.replace(found, weights=packed.weights)
    repack_lstm(found, shards)
    return found


def dense_as_float32(packed: PackedDense, shards: int) -> PackedDense:
    """Return a dense layer packed for float32 products, for kernels that have no others."""
    if not packed.pairs:
        return packed
    found = new_dense(packed.weights)
    repack_dense(found, shards)
    return found
