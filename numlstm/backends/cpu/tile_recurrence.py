"""One LSTM layer over a whole sequence, forward and backward, with bf16 products in tiles.

As in `recurrence.py`, but what the backward pass needs is stored in bf16 too, and the cells use the quick activations,
which are still eight times more accurate than what is stored.

The shards form a grid: some share the rows, and for each share of rows some share the columns, in panels of 64. Shards
that share columns meet after each step, because each needs the others' h (or gate gradients). A number is computed by
the same operations whatever the grid, so the result does not depend on it.

Shapes: B rows, P panels of 16 units each. gates (P, T + 1, B, 32 pairs): i and f, then g and o, as bf16 numbers, which
the backward pass overwrites by their gradients; tanh_c (P, T + 1, B, 8 pairs); c (P, T + 1, B, 16); operand (T + 1, B,
pairs) is h as products read it. Rows of h, dh_next and dx have room for whole panels of 64 columns.
"""

from __future__ import annotations

from llvmlite import ir

from . import bf16, tiles
from .activations import quick_sigmoid, quick_tanh
from .jit import ShardedKernel, kernel, meet
from .simd import INDEX, Emitter, View, vector_code
from .tiles import multiply_rows, tile_rows

GROUP = 2 * tiles.ROWS  # rows whose gates' inputs are computed before their cells: they stay in the L1 cache
UNITS = 64  # columns of a panel of W_h_T, and units of four gate panels
_L2_SHARE = 1 << 20  # bytes of weights that stay in a core's L2 cache beside what else a step touches


def grid(B: int, weights: int, panels: int, threads: int) -> tuple[int, int]:
    """Return how many shards share the rows, and how many share the columns, for at most `threads` shards.

    Columns are shared by as many shards as it takes for each share of the `weights` (bytes) to fit the L2 cache. (In a
    prototype on two cores with AMX, 512 units were faster by columns and 256 units by rows.) The rows are shared by the
    remaining threads, down to 16 rows a shard; with fewer rows, more shards share the columns. Every shard gets whole
    panels.
    """
    columns = 1
    while columns < threads and weights > columns * _L2_SHARE:
        columns += 1
    columns = _largest_divisor(panels, columns)
    rows = max(1, min(threads // columns, -(-B // tiles.ROWS)))
    return rows, _largest_divisor(panels, max(columns, threads // rows)) if weights > _L2_SHARE else columns


def _largest_divisor(number: int, most: int) -> int:
    return next(n for n in range(min(number, most), 0, -1) if number % n == 0)


@vector_code
def _gate_inputs(
    emit: Emitter, config: View, rows: ir.Value, x: View, W_x: View, h_prev: View, W_h: View, z: View
) -> None:
    """z (B, 64) = x @ W_x + h_prev @ W_h for one panel of units."""
    multiply_rows(emit, config, rows, [(x, 1, W_x), (h_prev, 1, W_h)], z)


@vector_code
def _cells(
    emit: Emitter,
    ids: View,
    start: View,
    z: View,
    gates: View,
    c_prev: View,
    c: View,
    tanh_c: View,
    h: View,
    halves: View,
) -> None:
    """Turn the gates' inputs, start[ids] + z, into gates, cells and h, for all rows and one panel of units."""
    builder = emit.builder
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        first = start.at(builder.sext(builder.load(ids.at(r), typ=ids.emit.element), INDEX))
        places = [emit.move(z.at(r), n * emit.lanes) for n in range(4)]
        z_i, z_f, z_g, z_o = (
            emit.load(place) + emit.load(emit.move(first, n * emit.lanes)) for n, place in enumerate(places)
        )
        i, f, o = quick_sigmoid(emit, z_i), quick_sigmoid(emit, z_f), quick_sigmoid(emit, z_o)
        g = quick_tanh(emit, z_g)
        emit.store(emit.fma(f, emit.load(c_prev.at(r)), i * g), c.at(r))
        bf16.store_two(emit, i, f, gates.at(r))
        bf16.store_two(emit, g, o, gates.emit.move(gates.at(r), emit.lanes))
        emit.store(o, places[3])
    # A separate loop, as in `recurrence.py`: the second half of a row's work waits for the first.
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        T = quick_tanh(emit, emit.load(c.at(r)))
        hidden = emit.load(emit.move(z.at(r), 3 * emit.lanes)) * T
        bf16.store_halves(emit, T, tanh_c.at(r))
        bf16.store_halves(emit, hidden, halves.at(r))
        emit.store(hidden, h.at(r))


@kernel
def _share(size, part, parts):
    """Return the first of the entries that belong to a part, and one past the last."""
    return part * size // parts, (part + 1) * size // parts


@ShardedKernel
def forward(palettes, flags, column_shards, ids, x, start, W_x, W_h, z, gates, c, tanh_c, h, operand, s, shards):
    """Fill gates, tanh_c and steps 1 to T of c, h and operand; step 0 holds the initial state.

    ids (T, B) selects each row's entry in `start`; x (T, B, pairs) is added through W_x, and may have no pairs. `flags`
    (shards, 16) are 0; z (shards, GROUP, 64) is scratch memory. `shards` is a multiple of `column_shards`.
    """
    T, B = ids.shape
    row_shards = shards // column_shards
    mine, column = s // column_shards, s % column_shards
    low, high = _share(B, mine, row_shards)
    first, last = _share(W_h.shape[0], column, column_shards)
    met = flags[mine * column_shards : (mine + 1) * column_shards]
    groups = max(1, (high - low + GROUP - 1) // GROUP)
    size = (high - low + groups - 1) // groups
    rows = tile_rows(size)
    config = palettes[rows]
    tiles.configure(config)
    for t in range(T):
        for p in range(first, last):
            for group in range(groups):
                a = min(low + group * size, high - size)  # the last group may overlap the one before
                b = a + size
                inputs = z[s, :size]
                _gate_inputs(config, rows, x[t, a:b], W_x[p], operand[t, a:b], W_h[p], inputs)
                _cells(
                    ids[t, a:b],
                    start[:, p],
                    inputs,
                    gates[p, t, a:b],
                    c[p, t, a:b],
                    c[p, t + 1, a:b],
                    tanh_c[p, t, a:b],
                    h[t + 1, a:b, p * 16 :],
                    operand[t + 1, a:b, p * 8 :],
                )
        if column_shards > 1:
            meet(met, column, t + 1, column_shards)
    tiles.release(config)


@vector_code
def _backward_cells(
    emit: Emitter, gates: View, dh_above: View, dh_next: View, dc_next: View, c_prev: View, tanh_c: View
) -> None:
    """Turn the gradient of h into that of the gates' inputs, which overwrites the gates, for one panel of units."""
    above = emit.first(dh_above.shape[1])
    with emit.loop(gates.shape[0]) as loop:
        r = loop.index
        further = gates.emit.move(gates.at(r), emit.lanes)
        i, f = bf16.load_two(emit, gates.at(r))
        g, o = bf16.load_two(emit, further)
        T = bf16.load_halves(emit, tanh_c.at(r))
        dh = emit.load_masked(dh_above.at(r), above) + emit.load(dh_next.at(r))
        dho = dh * o
        dc = emit.load(dc_next.at(r)) + emit.fma(-(dho * T), T, dho)  # h = o * tanh(c)
        dci, dcf = dc * i, dc * f  # c = f * c_prev + i * g
        emit.store(dcf, dc_next.at(r))
        dz_i = dci * g * (1.0 - i)
        dz_f = dcf * emit.load(c_prev.at(r)) * (1.0 - f)
        dz_g = emit.fma(-(dci * g), g, dci)
        dz_o = dho * T * (1.0 - o)
        bf16.store_two(emit, dz_i, dz_f, gates.at(r))
        bf16.store_two(emit, dz_g, dz_o, further)


@vector_code
def _through_weights(emit: Emitter, config: View, rows: ir.Value, dz: View, W_T: View, out: View) -> None:
    """out (B, 64) = dz (P, B, 32 pairs) @ one panel of W_T."""
    multiply_rows(emit, config, rows, [(dz, 2, W_T)], out)


@ShardedKernel
def backward(palettes, flags, column_shards, dh, gates, c, tanh_c, W_h_T, W_x_T, dx, dh_next, dc_next, H, s, shards):
    """Turn gates into dz; fill dx (T, B, ...); leave the gradients of h0 and c0 in dh_next and dc_next.

    dh (T, B, at least H) is the gradient from above; on entry dh_next (B, ...) and dc_next (P, B, 16) hold those of the
    last state. `flags` and shards are as in `forward`.
    """
    T, B = dh.shape[0], dh.shape[1]
    row_shards = shards // column_shards
    mine, column = s // column_shards, s % column_shards
    low, high = _share(B, mine, row_shards)
    first, last = _share(W_h_T.shape[0], column, column_shards)
    met = flags[mine * column_shards : (mine + 1) * column_shards]
    rows = tile_rows(high - low)
    config = palettes[rows]
    tiles.configure(config)
    for t in range(T - 1, -1, -1):
        for p in range(4 * first, min(4 * last, gates.shape[0])):
            _backward_cells(
                gates[p, t, low:high],
                dh[t, low:high, p * 16 : H],
                dh_next[low:high, p * 16 :],
                dc_next[p, low:high],
                c[p, t, low:high],
                tanh_c[p, t, low:high],
            )
        if column_shards > 1:
            meet(met, column, T - t, column_shards)
        for q in range(first, last):
            _through_weights(config, rows, gates[:, t, low:high], W_h_T[q], dh_next[low:high, q * UNITS :][:, :UNITS])
        if column_shards == 1:
            for q in range(W_x_T.shape[0]):
                _through_weights(config, rows, gates[:, t, low:high], W_x_T[q], dx[t, low:high, q * UNITS :][:, :UNITS])
    if column_shards > 1:  # everything is known now: share the steps, which keeps a panel of weights in the cache
        for t in range(column * T // column_shards, (column + 1) * T // column_shards):
            for q in range(W_x_T.shape[0]):
                _through_weights(config, rows, gates[:, t, low:high], W_x_T[q], dx[t, low:high, q * UNITS :][:, :UNITS])
    tiles.release(config)
