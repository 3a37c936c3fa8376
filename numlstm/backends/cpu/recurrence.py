"""One LSTM layer over a whole sequence, forward and backward, the batch sharded over the cores.

The rows of a batch do not depend on each other, so each core takes its rows through all T steps with no
synchronisation; only the weight gradients, which sum over rows, are made afterwards, sharded over the gate panels.
The equations are those of `reference.py` with the same names. Knows nothing about losses or updates.

Shapes: B rows, P gate panels of `lanes` units; "columns" are the 4 P lanes gate columns in packed order.
"""

from __future__ import annotations

from llvmlite import ir
from numba import prange

from .activations import sigmoid, tanh
from .jit import kernel, parallel_kernel
from .product import (
    BLOCK,
    HEIGHTS,
    TILE_WIDTH,
    accumulate,
    add_gradient,
    copy_panel,
    multiply_rows,
    tile_height,
)
from .simd import INDEX, Emitter, Vec, View, vector_code


@vector_code
def _project_tile(emit: Emitter, rows: ir.Value, ids: View, x: View, W_x: View, start: View, gates: View) -> None:
    """gates = start[ids] + x @ W_x for some rows and one panel of units."""
    with emit.cases(rows, HEIGHTS) as heights:
        for R in heights:
            z = []
            for r in range(R):
                token = emit.builder.sext(emit.builder.load(ids.at(r), typ=ids.emit.element), INDEX)
                z += [emit.load(start.at(token, gate)) for gate in range(4)]
            _store_gates(emit, accumulate(emit, z, x, W_x, R, 4), gates)


@vector_code
def _recurrent_tile(
    emit: Emitter, rows: ir.Value, h_prev: View, W_h: View, c_prev: View, c: View, tanh_c: View, gates: View, h: View
) -> None:
    """Compute one time step for some rows and one panel of units, whose gates hold the input's part."""
    with emit.cases(rows, HEIGHTS) as heights:
        for R in heights:
            z = [emit.load(emit.move(gates.at(r), gate * emit.lanes)) for r in range(R) for gate in range(4)]
            _store_gates(emit, accumulate(emit, z, h_prev, W_h, R, 4), gates)
    # The cell is written once for all heights, and finds the gates' inputs in the L1 cache.
    valid = emit.first(h.shape[1])
    with emit.loop(rows) as loop:
        _cell(emit, loop.index, c_prev, c, tanh_c, gates, h, valid)


def _cell(
    emit: Emitter, r: ir.Value, c_prev: View, c: View, tanh_c: View, gates: View, h: View, valid: ir.Value
) -> None:
    places = [emit.move(gates.at(r), n * emit.lanes) for n in range(4)]
    z_i, z_f, z_g, z_o = (emit.load(place) for place in places)
    i, f, o = sigmoid(emit, z_i), sigmoid(emit, z_f), sigmoid(emit, z_o)
    g = tanh(emit, z_g)
    new_c = emit.fma(f, emit.load(c_prev.at(r)), i * g)
    new_tanh_c = tanh(emit, new_c)
    emit.store(new_c, c.at(r))
    emit.store(new_tanh_c, tanh_c.at(r))
    emit.store_masked(o * new_tanh_c, h.at(r), valid)
    for gate, place in zip((i, f, g, o), places, strict=True):
        emit.store(gate, place)


def _store_gates(emit: Emitter, z: list[Vec], gates: View) -> None:
    for n, vec in enumerate(z):
        emit.store(vec, emit.move(gates.at(n // 4), n % 4 * emit.lanes))


@vector_code
def _backward_cell(
    emit: Emitter,
    dh_above: View,
    dh_next: View,
    dc_next: View,
    c_prev: View,
    tanh_c: View,
    gates: View,
    dz: View,
) -> None:
    """Turn the gradient of h into that of the gates' inputs, for one row and one panel of units.

    `dh_next` and `dc_next` hold what comes from the step after; `dc_next` leaves for the step before.
    """
    i, f, g, o = (emit.load(emit.move(gates.pointer, n * emit.lanes)) for n in range(4))
    T = emit.load(tanh_c.pointer)
    dh = emit.load_masked(dh_above.pointer, emit.first(dh_above.shape[0])) + emit.load(dh_next.pointer)
    dc = emit.fma(dh * o, 1.0 - T * T, emit.load(dc_next.pointer))  # h = o * tanh(c)
    di = dc * g  # c = f * c_prev + i * g
    df = dc * emit.load(c_prev.pointer)
    dg = dc * i
    do = dh * T
    emit.store(dc * f, dc_next.pointer)
    through = (di * i * (1.0 - i), df * f * (1.0 - f), dg * (1.0 - g * g), do * o * (1.0 - o))
    for n, gradient in enumerate(through):
        emit.store(gradient, emit.move(dz.pointer, n * emit.lanes))


@kernel
def project(ids, x, start, W_x, gates):
    """gates (B, columns) = start[ids] + x @ W_x, panel by panel: ids (B), x (B, D), where D may be 0."""
    B = ids.shape[0]
    VL = start.shape[3]
    for p in range(start.shape[1]):
        a = 0
        while a < B:
            b = a + tile_height(B - a)
            _project_tile(b - a, ids[a:b], x[a:b], W_x[p], start[:, p], gates[a:b, 4 * p * VL :])
            a = b


@kernel
def recur(h_prev, W_h, c_prev, c, tanh_c, gates, h):
    """Take a step in time, from h_prev (B, H) and c_prev to h, c and tanh_c; gates hold the input's part."""
    B = h_prev.shape[0]
    VL = W_h.shape[3]
    for p in range(W_h.shape[0]):
        u, a = p * VL, 0
        while a < B:
            b = a + tile_height(B - a)
            _recurrent_tile(
                b - a,
                h_prev[a:b],
                W_h[p],
                c_prev[a:b, u:],
                c[a:b, u:],
                tanh_c[a:b, u:],
                gates[a:b, 4 * u :],
                h[a:b, u:],
            )
            a = b


@kernel
def _forward_shard(ids, x, start, W_x, W_h, gates, c, tanh_c, h, low, high):
    T = ids.shape[0]
    # The input's part of all steps comes first, panel by panel: each panel is then read once from afar.
    for p in range(start.shape[1]):
        columns = 4 * start.shape[3]
        for t in range(T):
            project(
                ids[t, low:high],
                x[t, low:high],
                start[:, p : p + 1],
                W_x[p : p + 1],
                gates[t, low:high, p * columns : (p + 1) * columns],
            )
    for t in range(T):
        recur(
            h[t, low:high],
            W_h,
            c[t, low:high],
            c[t + 1, low:high],
            tanh_c[t, low:high],
            gates[t, low:high],
            h[t + 1, low:high],
        )


@parallel_kernel
def forward(ids, x, start, W_x, W_h, gates, c, tanh_c, h, shards):
    """Fill gates (T, B, columns), tanh_c (T, B, P lanes) and rows 1.. of c, h (T + 1, B, ...), whose row 0 is set.

    ids (T, B) chooses each row's place in `start`; x (T, B, D) is added through W_x and may have D = 0.
    """
    B = ids.shape[1]
    for s in prange(shards):
        _forward_shard(ids, x, start, W_x, W_h, gates, c, tanh_c, h, s * B // shards, (s + 1) * B // shards)


@kernel
def _backward_shard(dh, gates, c, tanh_c, W_h_T, zeros, W_x_T, dz, dx, dh_next, dc_next, low, high):
    T, H = dh.shape[0], dh.shape[2]
    columns = gates.shape[2]
    VL = W_h_T.shape[2] // TILE_WIDTH
    for t in range(T - 1, -1, -1):
        for r in range(low, high):
            for p in range(columns // (4 * VL)):
                u = p * VL
                _backward_cell(
                    dh[t, r, u:H],
                    dh_next[r, u:],
                    dc_next[r, u:],
                    c[t, r, u:],
                    tanh_c[t, r, u:],
                    gates[t, r, 4 * u :],
                    dz[t, r, 4 * u :],
                )
        multiply_rows(dz[t, low:high], W_h_T, zeros, dh_next[low:high, :H])
    for q in range(W_x_T.shape[0]):
        first = q * W_x_T.shape[2]
        for t in range(T):
            multiply_rows(dz[t, low:high], W_x_T[q : q + 1], zeros, dx[t, low:high, first : first + W_x_T.shape[2]])


@parallel_kernel
def backward(dh, gates, c, tanh_c, W_h_T, zeros, W_x_T, dz, dx, dh_next, dc_next, shards):
    """Fill dz (T, B, columns), dx (T, B, D) and, with the gradients of h0 and c0, dh_next and dc_next (B, P lanes).

    dh (T, B, H) is the gradient that comes from above; dh_next and dc_next hold that of the last state.
    """
    B = dh.shape[1]
    for s in prange(shards):
        low, high = s * B // shards, (s + 1) * B // shards
        _backward_shard(dh, gates, c, tanh_c, W_h_T, zeros, W_x_T, dz, dx, dh_next, dc_next, low, high)


@vector_code
def _scatter_row(emit: Emitter, panel: View, out: View, step: ir.Value) -> None:
    """Add the four gates of a panel's row to a row of dW_x, where they lie `step` apart."""
    mask = emit.first(out.shape[0])
    for gate in range(4):
        place = emit.move(out.pointer, emit.builder.mul(emit.index(gate), step))
        total = emit.load_masked(place, mask) + emit.load(emit.move(panel.pointer, gate * emit.lanes))
        emit.store_masked(total, place, mask)


@kernel
def _gradient_panel(p, part, parts, ids, x, h, dz, dW_x, dW_h, db, panel, ones):
    N, D = x.shape
    H = h.shape[1]
    u = p * panel.shape[1] // TILE_WIDTH
    copy_panel(dz, 4 * u, panel)
    a, b = part * H // parts, (part + 1) * H // parts
    add_gradient(h[:, a:b], panel, dW_h[a:b, u:], H, H - u, 0)
    a, b = part * D // parts, (part + 1) * D // parts
    add_gradient(x[:, a:b], panel, dW_x[a:b, u:], H, H - u, 0)
    if part == 0:
        add_gradient(ones, panel, db[:, u:], H, H - u, 0)
        if D == 0:
            for n in range(N):
                _scatter_row(panel[n], dW_x[ids[n], u:H], H)


@parallel_kernel
def add_weight_gradients(ids, x, h, dz, dW_x, dW_h, db, work, ones, parts, shards):
    """Add to dW_x (D or V, 4H), dW_h (H, 4H), db (1, 4H) over the N = T B rows of x (N, D), h (N, H), dz (N, columns).

    The work is cut by gate panels and, for many cores, each panel into `parts` of the weights' rows; every sum
    runs over the rows in the same order, whatever the number of shards. A block of rows serves all of a shard's
    panels while it lies in the L2 cache. `work (shards, BLOCK, panel width)`.
    """
    N = dz.shape[0]
    P = dz.shape[1] // work.shape[2]
    for s in prange(shards):
        for a in range(0, N, BLOCK):
            b = min(a + BLOCK, N)
            for item in range(s * P * parts // shards, (s + 1) * P * parts // shards):
                _gradient_panel(
                    item // parts,
                    item % parts,
                    parts,
                    ids[a:b],
                    x[a:b],
                    h[a:b],
                    dz[a:b],
                    dW_x,
                    dW_h,
                    db,
                    work[s, : b - a],
                    ones[: b - a],
                )
