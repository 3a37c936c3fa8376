"""One LSTM layer over a whole sequence, forward and backward, with the batch sharded over the cores.

The rows of a batch are independent, so each core takes its rows through all T steps without
synchronisation. The weight gradients, which sum over rows, are computed afterwards (`gradients.py`).
The equations are those of `reference/lstm.py`, with the same names.

Shapes: B rows, P panels of `lanes` units each. The data of a panel is contiguous for all steps and rows: gates
(P, T + 1, B, 4 lanes), whose last step is unused, and cells (P, T + 1, B, lanes). Only h is (T + 1, B, H), because
products read it.
"""

from __future__ import annotations

from llvmlite import ir

from . import bf16
from .activations import sigmoid, tanh
from .jit import ShardedKernel, kernel
from .product import accumulate, add_product, prefetch_address, row_tiles
from .simd import INDEX, PAIR, Emitter, View, vector_code

CACHED = 400_000  # bytes of input weights that stay in the L2 cache beside as many bytes of recurrent weights


@vector_code
def add_products(
    emit: Emitter,
    ids: View,
    start: View,
    fresh: ir.Value,
    x: View,
    W_x: View,
    h_prev: View,
    W_h: View,
    after: View,
    gates: View,
) -> None:
    """gates = start[ids] + x @ W_x + h_prev @ W_h for all rows and one panel of units.

    Unless `fresh`, the gates' current values replace `start[ids]`. `after` is the panel of W_h used next.
    """
    builder = emit.builder
    for row, R in row_tiles(emit, gates.shape[0]):
        here, z = gates.skip(row), []
        for r in range(R):
            token = builder.sext(builder.load(ids.skip(row).at(r), typ=ids.emit.element), INDEX)
            first = builder.select(fresh, start.at(token), here.at(r))
            z += [emit.load(emit.move(first, gate * emit.lanes)) for gate in range(4)]
        z = accumulate(emit, z, x.skip(row), W_x, R, 4)
        z = accumulate(emit, z, h_prev.skip(row), W_h, R, 4, prefetch_address(emit, W_h, after, row))
        for n, vec in enumerate(z):
            emit.store(vec, emit.move(here.at(n // 4), n % 4 * emit.lanes))


@vector_code
def cells(emit: Emitter, gates: View, c_prev: View, c: View, tanh_c: View, h: View, halves: View) -> None:
    """Turn the gates' inputs into gates, cells and h, for all rows and one panel of units.

    If `halves` holds pairs, h is also stored there as bf16 numbers; otherwise `halves` is not used.
    """
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        places = [emit.move(gates.at(r), n * emit.lanes) for n in range(4)]
        z_i, z_f, z_g, z_o = (emit.load(place) for place in places)
        i, f, o = sigmoid(emit, z_i), sigmoid(emit, z_f), sigmoid(emit, z_o)
        g = tanh(emit, z_g)
        emit.store(emit.fma(f, emit.load(c_prev.at(r)), i * g), c.at(r))
        for gate, place in zip((i, f, g, o), places, strict=True):
            emit.store(gate, place)
    # A separate loop: the second half of a row's work waits for the first. While it waits, the processor can look ahead
    # over eight rows of this loop, but not over two rows of both halves together. A single loop took twice as long.
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        T = tanh(emit, emit.load(c.at(r)))
        hidden = emit.load(emit.move(gates.at(r), 3 * emit.lanes)) * T
        emit.store(T, tanh_c.at(r))
        emit.store(hidden, h.at(r))
        if halves.emit.element == PAIR:
            bf16.store_halves(emit, hidden, halves.at(r))


@vector_code
def _backward_cells(
    emit: Emitter, gates: View, dh_above: View, dh_next: View, dc_next: View, c_prev: View, tanh_c: View, halves: View
) -> None:
    """Turn the gradient of h into that of the gates' inputs, which overwrites the gates, for one panel of units.

    `dh_next` and `dc_next` hold the gradients from the next step; `dc_next` is updated for the previous step. If
    `halves` holds pairs, it shares the gates' memory and receives the gradient as bf16 numbers.
    """
    above = emit.first(dh_above.shape[1])
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        i, f, g, o = (emit.load(emit.move(gates.at(r), n * emit.lanes)) for n in range(4))
        T = emit.load(tanh_c.at(r))
        dh = emit.load_masked(dh_above.at(r), above) + emit.load(dh_next.at(r))
        dc = emit.fma(dh * o, 1.0 - T * T, emit.load(dc_next.at(r)))  # h = o * tanh(c)
        di = dc * g  # c = f * c_prev + i * g
        df = dc * emit.load(c_prev.at(r))
        dg = dc * i
        do = dh * T
        emit.store(dc * f, dc_next.at(r))
        through = (di * i * (1.0 - i), df * f * (1.0 - f), dg * (1.0 - g * g), do * o * (1.0 - o))
        for n, gradient in enumerate(through):
            if halves.emit.element == PAIR:
                bf16.store_halves(emit, gradient, halves.emit.move(halves.at(r), n * emit.lanes // 2))
            else:
                emit.store(gradient, emit.move(gates.at(r), n * emit.lanes))


@vector_code
def pair_row(emit: Emitter, row: View, out: View) -> None:
    """Copy a row of float32 numbers as bf16 numbers, padded with 0 to whole registers."""
    lanes = emit.index(emit.lanes)
    with emit.loop(emit.builder.sdiv(emit.builder.add(row.shape[0], emit.index(emit.lanes - 1)), lanes)) as loop:
        first = emit.builder.mul(loop.index, lanes)
        vec = emit.load_masked(emit.move(row.pointer, first), emit.first(emit.builder.sub(row.shape[0], first)))
        bf16.store_halves(emit, vec, out.emit.move(out.pointer, emit.builder.sdiv(first, emit.index(2))))


@ShardedKernel
def as_pairs(a, out, s, shards):
    """out (N, L) = a (N, K) as pairs of bf16 numbers, for at most the first 2 L columns of a."""
    for n in range(s * a.shape[0] // shards, (s + 1) * a.shape[0] // shards):
        pair_row(a[n, : 2 * out.shape[1]], out[n])


@kernel
def step(ids, start, fresh, x, W_x, h_prev, W_h, after, c_prev, c, tanh_c, gates, h, halves):
    """Advance one panel of units by one time step: see `add_products` and `cells`."""
    add_products(ids, start, fresh, x, W_x, h_prev, W_h, after, gates)
    cells(gates, c_prev, c, tanh_c, h, halves)


@kernel
def _project(ids, start, x, W_x, gates):
    """Compute the input's part of the gates (P, T + 1, B, 4 lanes) for all steps, panel by panel."""
    for p in range(gates.shape[0]):
        nothing = W_x[p, :0]
        for t in range(x.shape[0]):
            add_products(ids[t], start[:, p], True, x[t], W_x[p], x[t], nothing, nothing, gates[p, t])


@ShardedKernel
def forward(ids, x, start, W_x, W_h, gates, c, tanh_c, h, operand, s, shards):
    """Fill gates, tanh_c and steps 1 to T of c and h (T + 1, B, H); step 0 holds the initial state.

    ids (T, B) selects each row's entry in `start`; x (T, B, D) is added through W_x, and D may be 0. `operand` is the
    form of h that products read: h itself, or memory for h as pairs of bf16 numbers (T + 1, B, H / 2). The rows of both
    have room for P lanes units.
    """
    T, B = ids.shape
    P, VL = W_h.shape[0], start.shape[3]
    low, high = s * B // shards, (s + 1) * B // shards
    # Weights that do not fit the L2 cache are loaded from slower memory at each step. The input's weights can avoid
    # this: their products are computed first, for all steps, a panel at a time. Smaller weights stay in the cache, and
    # then writing the gates only once is faster.
    fresh = 4 * W_x.shape[1] * W_x.shape[0] * W_x.shape[2] <= CACHED
    if not fresh:
        _project(ids[:, low:high], start, x[:, low:high], W_x, gates[:, :, low:high])
    inputs = W_x if fresh else W_x[:, :0]
    for t in range(T):
        for p in range(P):
            step(
                ids[t, low:high],
                start[:, p],
                fresh,
                x[t, low:high],
                inputs[p],
                operand[t, low:high],
                W_h[p],
                W_h[(p + 1) % P],
                c[p, t, low:high],
                c[p, t + 1, low:high],
                tanh_c[p, t, low:high],
                gates[p, t, low:high],
                h[t + 1, low:high, p * VL :],
                operand[t + 1, low:high, p * VL // 2 :],
            )


@ShardedKernel
def backward(dh, gates, dz, c, tanh_c, W_h_T, W_x_T, dx, dh_next, dc_next, s, shards):
    """Turn gates into dz; fill dx (T, B, D); leave the gradients of h0 and c0 in dh_next (B, P lanes) and dc_next.

    dh (T, B, H) is the gradient from above; on entry dh_next and dc_next (P, B, lanes) hold the gradients of the last
    state. `dz` is the gates' own memory, as it is or as pairs of bf16 numbers.
    """
    T, B, H = dh.shape
    P, VL = tanh_c.shape[0], tanh_c.shape[3]
    low, high = s * B // shards, (s + 1) * B // shards
    for t in range(T - 1, -1, -1):
        for p in range(P):
            _backward_cells(
                gates[p, t, low:high],
                dh[t, low:high, p * VL : H],
                dh_next[low:high, p * VL :],
                dc_next[p, low:high],
                c[p, t, low:high],
                tanh_c[p, t, low:high],
                dz[p, t, low:high],
            )
        dh_next[low:high] = 0
        add_product(dz[:, t, low:high], W_h_T, dh_next[low:high, :H])
        dx[t, low:high] = 0
        add_product(dz[:, t, low:high], W_x_T, dx[t, low:high])
