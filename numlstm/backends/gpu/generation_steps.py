"""Generate step by step: for each token and each layer a product and a cell kernel, then the logits and the draw.

For networks too large for one launch, layers with layer norm or a projection, and many streams of large layers. All
launches are queued; nothing waits. The products use our own kernels (`kernels/generation_steps.cu`), because a
library's order of summation depends on the number of streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..protocol import Array, Packed
from .drawing import Drawing, scratch_bytes
from .lazy_cupy import cp
from .modules import blocks_for, launch

STREAMS = (4, 16)  # streams per block of a product: there is a kernel for each
COLUMNS = 64  # the most threads of such a block
DEPTH = 32  # inputs of each stream that it loads into shared memory at once
CELLS = 256  # threads per block of a cell kernel

OF_ROWS, BY_ID, OF_WEIGHTS = (np.int32(kind) for kind in range(3))  # see kernels/generation_steps.cu


def by_steps(
    layers: Sequence[Packed],
    output: Packed,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: Array,
    drawing: Drawing,
    drawn: Array,
    embedding: Array,
) -> None:
    """Queue the drawing of tokens (N, B) with `uniforms (N, B)`; writes `state` and `drawn`."""
    W, b = output.weights
    N, B = drawn.shape
    logits = cp.empty((B, W.shape[1]), W.dtype)
    rooms = [_LayerBuffers(layer, B) for layer in layers]
    for n in range(N):
        read = ids if n == 0 else drawn[n - 1]
        x = embedding
        for l, (layer, room, (h, c)) in enumerate(zip(layers, rooms, state, strict=True)):
            chosen = OF_ROWS if l else OF_WEIGHTS if embedding is None else BY_ID
            _step(layer, room, chosen, read, x, h, c)
            x = h
        _sums(logits, OF_ROWS, ids, x, W, bias=b)
        _draw(logits, uniforms[n], drawing, drawn[n], n)


class _LayerBuffers:
    """A layer's buffers for the gate inputs z (B, 4H) and, before a projection, for m (B, H)."""

    def __init__(self, layer: Packed, B: int) -> None:
        dtype = layer.weights[1].dtype
        self.z = cp.empty((B, 4 * layer.hidden_size), dtype)
        self.m = None if layer.variant.W_p is None else cp.empty((B, layer.hidden_size), dtype)


def _step(layer: Packed, room: _LayerBuffers, chosen: np.int32, ids: Array, x: Array, h: Array, c: Array) -> None:
    """Queue one step of a layer, which reads rows of x according to `chosen` and updates h (B, R) and c (B, H)."""
    W_x, W_h, b = layer.weights
    W_p, gain, c_gain, c_bias, hard = layer.variant
    B, H = c.shape
    shown = h if room.m is None else room.m
    _sums(room.z, chosen, ids, x, W_x, h=h, W_h=W_h, bias=b if gain is None else None)
    if gain is None:
        sizes = (np.int32(hard), np.int32(B), np.int32(H))
        launch("generation_steps", "cells", c.dtype, blocks_for(B * H, CELLS), (CELLS,), (room.z, c, shown, *sizes))
    else:
        threads = min(1 << (H - 1).bit_length(), CELLS)
        arguments = (room.z, c, shown, gain, b, c_gain, c_bias, np.int32(hard), np.int32(H))
        shared = threads * c.dtype.itemsize
        launch("generation_steps", "norm_cells", c.dtype, (B,), (threads,), arguments, shared=shared)
    if W_p is not None:
        _sums(h, OF_ROWS, ids, shown, W_p)


def _sums(
    out: Array,
    chosen: np.int32,
    ids: Array,
    x: Array,
    W: Array,
    *,
    h: Array = None,
    W_h: Array = None,
    bias: Array = None,
) -> None:
    """Queue out (B, N) = x W + h W_h + bias; terms that are None are left out."""
    B, N = out.shape
    few, many = STREAMS
    streams = few if len(out) <= few else many
    threads = min(COLUMNS, -(-N // 8) * 8)
    inputs: tuple[Any, ...] = (ids, chosen, W if x is None else x, W, np.int32(W.shape[0]))
    carried = (W, W, np.int32(0)) if h is None else (h, W_h, np.int32(W_h.shape[0]))
    added = (W, np.int32(0)) if bias is None else (bias, np.int32(1))
    launch(
        "generation_steps",
        f"sums_{streams}",
        out.dtype,
        (-(-N // threads), -(-B // streams)),
        (threads,),
        (out, *inputs, *carried, *added, np.int32(B), np.int32(N)),
        shared=DEPTH * streams * out.dtype.itemsize,
    )


def _draw(logits: Array, uniforms: Array, drawing: Drawing, drawn: Array, n: int) -> None:
    """Queue the draw of token n (B)."""
    B, V = logits.shape
    launch(
        "generation",
        "draw",
        logits.dtype,
        (drawing.blocks,),
        (drawing.threads,),
        (logits, np.int32(V), *drawing.arguments(), uniforms, drawn, np.int32(n), np.int32(B)),
        shared=scratch_bytes(drawing.threads, V),
    )
