"""Weights in fewer bits for generation, and the products that read them.

To draw a token for one stream reads every weight once, so memory sets the pace: bf16 numbers take half of float32's
bytes, int8 numbers a quarter. Widened to float32 they are multiplied like float32 weights, on every processor, and
sums run in the order of the rows, whatever the number of streams and threads. `spec/rounding.py` rounds them.

Two panels at once for a single stream, so that no multiply-add waits for the one before, were no faster: widening sets
the pace where weights are in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir

from ..spec.rounding import quantised
from .jit import kernel
from .packing import PackedDense, PackedLSTM
from .product import BYTE, HALF, TILE_WIDTH, accumulate, prefetch_address, row_tiles
from .simd import INDEX, Emitter, Vec, View, vector_code

Array = npt.NDArray[Any]


class StoredWeights(NamedTuple):
    """A network's packed weights as generation reads them: `layers` and `output`, each with its scales.

    `layers` has four tuples with an entry for each layer: W_x, W_h (P, K, 4 lanes) and their scales; `output` is W
    (panels, H, width) and its scales. W holds int16 for bf16 numbers, int8, or what is packed. Scales (panels, width)
    are the factors of the columns of int8 weights; otherwise they are not read.
    """

    layers: tuple[tuple[Array, ...], ...]
    output: tuple[Array, Array]

    @property
    def nbytes(self) -> int:
        """The bytes of weights that are read for each token."""
        return int(self.output[0].nbytes + sum(W.nbytes for weights in self.layers[:2] for W in weights))


def stored_weights(layers: Sequence[PackedLSTM], output: PackedDense, rounding: str) -> StoredWeights:
    """Return the packed weights of a network, whose entries are rounded already, in the form that generation reads."""
    W_x, x_scale = zip(*(_stored(packed.W_x, rounding) for packed in layers), strict=True)
    W_h, h_scale = zip(*(_stored(packed.W_h, rounding) for packed in layers), strict=True)
    return StoredWeights((W_x, W_h, x_scale, h_scale), _stored(output.W, rounding))


def _stored(packed: Array, rounding: str) -> tuple[Array, Array]:
    """Return a packed matrix and its scales (panels, width)."""
    if rounding == "int8":
        q, scale = quantised(packed)
        return q, np.ascontiguousarray(scale[:, 0])
    dtype = packed.dtype if packed.dtype.kind == "f" else np.dtype(np.float32)
    scale = np.ones((len(packed), packed.shape[2]), dtype)
    return (packed.view(np.uint32) >> 16).astype(np.uint16).view(np.int16) if rounding else packed, scale


def _add(emit: Emitter, z: list[Vec], a: View, W: View, scale: View, rows: int, ahead: ir.Value | None) -> list[Vec]:
    """Return z + a @ W for a panel of stored weights."""
    if W.emit.element != BYTE:
        return accumulate(emit, z, a, W, rows, TILE_WIDTH, ahead)
    sums = accumulate(emit, [emit.vec(0.0)] * len(z), a, W, rows, TILE_WIDTH)
    factors = [emit.load(emit.move(scale.pointer, v * emit.lanes)) for v in range(TILE_WIDTH)]
    return [emit.fma(total, factors[n % TILE_WIDTH], z[n]) for n, total in enumerate(sums)]


@vector_code
def gate_sums(
    emit: Emitter,
    ids: View,
    start: View,
    x: View,
    W_x: View,
    x_scale: View,
    h_prev: View,
    W_h: View,
    h_scale: View,
    after: View,
    gates: View,
) -> None:
    """gates = start[ids] + x @ W_x + h_prev @ W_h for all rows and one panel of units, as in `recurrence.py`.

    `x_scale` and `h_scale` are the panel's factors of int8 weights; others do not read them.
    """
    builder = emit.builder
    for row, R in row_tiles(emit, gates.shape[0]):
        here, z = gates.skip(row), []
        for r in range(R):
            token = builder.sext(builder.load(ids.skip(row).at(r), typ=ids.emit.element), INDEX)
            z += [emit.load(emit.move(start.at(token), gate * emit.lanes)) for gate in range(4)]
        ahead = None if W_h.emit.element in (HALF, BYTE) else prefetch_address(emit, W_h, after, row)
        z = _add(emit, z, x.skip(row), W_x, x_scale, R, None)
        z = _add(emit, z, h_prev.skip(row), W_h, h_scale, R, ahead)
        for n, vec in enumerate(z):
            emit.store(vec, emit.move(here.at(n // 4), n % 4 * emit.lanes))


@vector_code
def _add_panel(emit: Emitter, a: View, W: View, scale: View, out: View) -> None:
    """out += a @ W for a panel of stored weights, up to the number of columns of `out`."""
    masks = [emit.first(emit.builder.sub(out.shape[1], emit.index(v * emit.lanes))) for v in range(TILE_WIDTH)]
    for row, R in row_tiles(emit, out.shape[0]):
        here = out.skip(row)
        places = [emit.move(here.at(r), v * emit.lanes) for r in range(R) for v in range(TILE_WIDTH)]
        z = [emit.load_masked(place, masks[n % TILE_WIDTH]) for n, place in enumerate(places)]
        for n, vec in enumerate(_add(emit, z, a.skip(row), W, scale, R, None)):
            emit.store_masked(vec, places[n], masks[n % TILE_WIDTH])


@kernel
def add_product(a, W, scale, first, last, out):
    """out (M, N) += a (M, at least K) @ W, in the columns of the panels first:last of stored weights."""
    K, width = W.shape[1], W.shape[2]
    for q in range(first, last):
        _add_panel(a[:, :K], W[q], scale[q], out[:, q * width : (q + 1) * width])
