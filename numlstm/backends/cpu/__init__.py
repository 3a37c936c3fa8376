"""The CPU backend: Numba kernels on all cores.

The functions implement the `Backend` protocol, whose docstrings document arguments and results. This module
checks arrays, allocates memory and calls the kernels. The modules:

    jit.py          kernel compilation; cache.py stores compiled kernels on disk
    processor.py    the processor's vector registers
    simd.py         vector registers as expressions
    bf16.py         products of bf16 pairs
    activations.py  exp, sigmoid and tanh of a register
    product.py      matrix products from one register tile
    threads.py      the number of threads
    adam_kernels.py gradient norm and Adam
    optimizer_kernels.py  the other optimizers
    updates.py      the update functions, which call both
    packing.py      weights in the order in which the kernels read them
    recurrence.py   one layer over a whole sequence, forward and backward
    tiles.py        products of bf16 numbers in tiles (AMX), or emulated
    tile_layers.py  layers whose products are computed in tiles; kernels in tile_recurrence.py, tile_gradients.py and
                    tile_dense.py
    variant_layers.py  the same for layers with layer norm, a projection, hard gates or recurrent dropout; kernels in
                    variant_kernels.py and layernorm.py
    masks.py        dropout and embedding lookup
    gradients.py    weight gradients
    dense.py        the output layer and the loss
    generation.py   token generation
    narrow.py       weights in fewer bits for generation
    pace.py         one thread for each stream, or all for all of them
    choice.py       sampling a token from logits
    buffers.py      the kernels' working memory

The number of threads determines how work is split, so it may change results by rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from . import cores  # noqa: F401

# isort: split
import numba
import numpy as np
import numpy.typing as npt

from ...errors import BackendError
from ..spec.dropout import Mask
from ..spec.host_text import hold, window
from ..spec.philox import uniforms
from ..spec.sampling import Sampling
from ..spec.variant import PLAIN, Variant
from . import dense, generation, gradients, masks, packing, processor, recurrence, tile_layers, variant_layers
from .buffers import (
    BackwardBuffers,
    GradientBuffers,
    Tape,
    get_cells,
    set_cells,
    whole_rows_for,
    with_row_padding,
)
from .narrow import StoredWeights, stored_weights
from .packing import PackedDense, PackedLSTM
from .threads import kernel_lock, set_threads
from .threads import shards as shards_of
from .tile_layers import TileTape
from .updates import adam_, approach_, clamp_, global_norm, unscale_, update_

__all__ = [
    "adam_",
    "approach_",
    "clamp_",
    "global_norm",
    "hold",
    "set_threads",
    "uniforms",
    "unscale_",
    "update_",
    "window",
]

Array = npt.NDArray[Any]

name = "cpu"
queued = False


def available() -> str:
    return ""


def describe() -> str:
    return f"cpu ({shards_of()} thread{'s' * (shards_of() > 1)}, {processor.register_file().name})"


def about() -> dict[str, str]:
    return {
        "threads": str(shards_of()),
        "registers": processor.register_file().name,
        "tiles": processor.tiles_missing() or ("emulated" if processor.tiles_emulated() else "AMX"),
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


def asarray(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    return np.array(values, dtype)


def to_numpy(array: Array) -> Array:
    return np.array(array)


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike) -> Array:
    return np.zeros(shape, dtype)


def _writable(weight: Array) -> Array:
    """Return `weight`, copied if it is read-only: the packing kernels also update, so they need a writable array."""
    return np.require(weight, requirements="W")


def _has_variant(variant: Variant) -> bool:
    return variant.hard or any(array is not None for array in variant[:4])


def pack_lstm(
    W_x: Array,
    W_h: Array,
    b: Array,
    *,
    tokens: bool,
    precision: str = "",
    variant: Variant = PLAIN,
    packed: PackedLSTM | None = None,
) -> PackedLSTM:
    if precision in ("tf32", "fp16"):
        raise BackendError(f"the device cpu computes in float32 or bf16; precision {precision} needs `device` gpu")
    if precision not in ("", "bf16") or (precision and W_h.dtype != np.float32):
        raise BackendError(f"precision is {precision!r} for {W_h.dtype} weights; expected bf16 for float32, or none")
    if precision == "bf16" and (missing := processor.bf16_missing()):
        raise BackendError(f"precision bf16 is not available: {missing}; use float32")
    pairs = precision == "bf16" and not _has_variant(variant)
    weights = (_writable(W_x), _writable(W_h), _writable(b))
    if packed is None:
        packed = packing.new_lstm(weights, tokens, pairs)
        if _has_variant(variant):
            packed = dataclasses.replace(packed, variant=packing.new_variant(variant, weights))
    packed = dataclasses.replace(packed, weights=weights)
    with kernel_lock:
        if packed.variant is not None:
            packing.repack_variant(packed.variant, variant, weights[2], shards_of())
        packing.repack_lstm(packed, shards_of())
    return packed


def pack_dense(W: Array, b: Array, *, precision: str = "", packed: PackedDense | None = None) -> PackedDense:
    weights = (_writable(W), _writable(b))
    if packed is None:
        packed = packing.new_dense(weights, precision == "bf16" and not processor.tiles_missing())
    packed = dataclasses.replace(packed, weights=weights)
    with kernel_lock:
        packing.repack_dense(packed, shards_of())
    return packed


def lstm_forward(
    x: Array, packed: PackedLSTM, h0: Array, c0: Array, *, mask: Mask | None = None, tape: Any = None
) -> tuple[Array, tuple[Array, Array], Any]:
    T, B = x.shape[:2]
    H, shards = packed.hidden_size, shards_of(B)
    if packed.variant is not None or mask is not None:
        with kernel_lock:
            return variant_layers.forward(x, packed, h0, c0, mask, tape, shards)
    if packed.tiled:
        with kernel_lock:
            return tile_layers.forward(x, packed, h0, c0, tape)
    if not isinstance(tape, Tape) or tape.shape != (T, B):
        tape = Tape(T, B, packed)
    with kernel_lock:
        tape.read(x, packed.tokens)
        tape.h[0, :, :H] = h0
        set_cells(tape.c[:, 0], c0)
        if tape.x_pairs is not None:
            recurrence.as_pairs(tape.x.reshape(T * B, -1), tape.x_pairs.reshape(T * B, -1), shards=shards)
            recurrence.as_pairs(tape.h[0], tape.operand[0], shards=shards)
        recurrence.forward(
            tape.ids,
            tape.x if tape.x_pairs is None else tape.x_pairs,
            packed.start,
            packed.W_x,
            packed.W_h,
            tape.gates,
            tape.c,
            tape.tanh_c,
            tape.h,
            tape.operand,
            shards=shards,
        )
    return tape.h[1:, :, :H], (tape.h[-1, :, :H].copy(), get_cells(tape.c[:, -1], H)), tape


def lstm_backward(
    dh: Array, packed: PackedLSTM, tape: Any, dW_x: Array, dW_h: Array, db: Array, dvariant: Variant = PLAIN
) -> tuple[Array | None, Array, Array]:
    (T, B), H, shards = tape.shape, packed.hidden_size, shards_of()
    if isinstance(tape, TileTape):
        with kernel_lock:
            return tile_layers.backward(dh, packed, tape, dW_x, dW_h, db)
    if not isinstance(tape, Tape):
        with kernel_lock:
            return variant_layers.backward(dh, packed, tape, dW_x, dW_h, db, dvariant, shards)
    if tape.backward is None:
        tape.backward = BackwardBuffers(tape, packed)
    to = tape.backward
    to.dh_next[...], to.dc_next[...] = 0, 0
    with kernel_lock:
        recurrence.backward(
            np.ascontiguousarray(dh),
            tape.gates,
            tape.dz,
            tape.c,
            tape.tanh_c,
            packed.W_h_T,
            packed.W_x_T,
            to.dx,
            to.dh_next,
            to.dc_next,
            shards=min(B, shards),
        )
        D, P = 0 if packed.tokens else packed.input_size, len(tape.c)
        space = GradientBuffers((D, H), P, dW_h.dtype, packed.pairs, shards, rows=packed.input_size)
        gradients.add_gate_gradients(
            tape.ids.reshape(-1),
            tape.x.reshape(T * B, -1) if D else np.empty((T * B, 0), dW_h.dtype),
            tape.h[:-1].reshape(T * B, -1),
            tape.dz.reshape(P, (T + 1) * B, -1),
            dW_x,
            dW_h,
            db[None],
            space.zeros,
            *space.slabs,
            space.panels,
            *space.sums,
            space.parts,
            shards=shards,
        )
    return None if packed.tokens else to.dx, to.dh_next[:, :H].copy(), get_cells(to.dc_next, H)


def embed(ids: Array, W: Array) -> Array:
    out = whole_rows_for((*ids.shape, W.shape[1]), W.dtype)
    with kernel_lock:
        masks.lookup_rows(np.ascontiguousarray(ids, np.int32).reshape(-1), W, _flat(out), shards=shards_of())
    return out[..., : W.shape[1]]


def embed_backward(dx: Array, ids: Array, dW: Array) -> None:
    with kernel_lock:
        masks.add_to_rows(
            _flat(with_row_padding(dx)), np.ascontiguousarray(ids, np.int32).reshape(-1), dW, shards=shards_of()
        )


def dropout(x: Array, mask: Mask, *, out: Array | None = None) -> Array:
    H = x.shape[-1]
    if out is None or out.shape != x.shape:
        out = whole_rows_for(x.shape, x.dtype)[..., :H]
    factor, words = x.dtype.type(1 / (1 - mask.rate)), [np.array(part, np.uint64) for part in (mask.counter, mask.key)]
    with kernel_lock:
        given, result = (_flat(with_row_padding(part)) for part in (x, out))
        masks.drop(given, result, H, mask.threshold, factor, *words, shards=shards_of())
    return out


def _flat(rows: Array) -> Array:
    return rows.reshape(-1, rows.shape[-1])


def dense_forward(h: Array, packed: PackedDense, *, out: Array | None = None) -> Array:
    shape = (len(h), packed.weights[1].size)
    if out is None or out.shape != shape:
        out = np.empty(shape, packed.weights[1].dtype)
    with kernel_lock:
        if packed.pairs:
            tile_layers.dense_forward(h, packed, out)
            return out
        dense.multiply(with_row_padding(h)[None], packed.W, packed.weights[1], out, shards=shards_of())
    return out


def dense_backward(dlogits: Array, h: Array, packed: PackedDense, dW: Array, db: Array) -> Array:
    if packed.pairs:
        with kernel_lock:
            return tile_layers.dense_backward(dlogits, h, packed, dW, db)
    dh, shards = np.empty(h.shape, dW.dtype), shards_of()
    space = GradientBuffers((h.shape[1],), packing.panels(db.size, packed.W.shape[2]), dW.dtype, False, shards)
    with kernel_lock:
        dense.multiply(dlogits[None], packed.W_T, np.zeros(h.shape[1], dW.dtype), dh, shards=shards)
        gradients.add_dense_gradients(
            with_row_padding(h),
            dlogits,
            dW,
            db[None],
            space.zeros,
            *space.slabs,
            space.panels,
            *space.sums,
            space.parts,
            shards=shards,
        )
    return dh


def softmax_cross_entropy(logits: Array, targets: Array, *, scale: Any = None) -> tuple[float, Array]:
    shards, N = shards_of(), len(logits)
    losses, factor = np.empty(N), (1.0 if scale is None else float(scale[0])) / N
    work = np.zeros((shards, 2, processor.lanes(logits.itemsize)), logits.dtype)
    with kernel_lock:
        dense.cross_entropy(logits, np.ascontiguousarray(targets, np.int32), losses, factor, work, shards=shards)
    return float(losses.mean()), logits


def pack_rounded(layers: Sequence[PackedLSTM], output: PackedDense, rounding: str) -> StoredWeights | None:
    if output.W.dtype != np.float32:
        raise BackendError(f"the weights are {output.W.dtype}; expected float32 to draw with precision {rounding}")
    plain = layers[0].tokens and all(packed.variant is None for packed in layers)
    return stored_weights(layers, output, rounding) if plain else None


def generate(
    layers: Sequence[PackedLSTM],
    output: PackedDense,
    state: Sequence[tuple[Array, Array]],
    ids: Array,
    uniforms: npt.NDArray[np.float64],
    sampling: Sampling,
    embedding: Array | None = None,
    rounded: StoredWeights | None = None,
) -> tuple[npt.NDArray[np.int32], list[tuple[Array, Array]]]:
    with kernel_lock:
        if embedding is not None or any(packed.variant is not None for packed in layers):
            shards = shards_of(uniforms.shape[1])
            return variant_layers.generate(layers, output, state, ids, uniforms, sampling, embedding, shards)
        stored = stored_weights(layers, output, "") if rounded is None else rounded
        return generation.draw(layers, output, stored, state, ids, uniforms, sampling, shards_of())
