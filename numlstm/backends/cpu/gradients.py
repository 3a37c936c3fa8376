"""Weight gradients: sums over all rows at once, sharded over the panels of the weights' columns.

The N rows, of all steps and streams, are processed in blocks. A block of the left-hand matrix is copied into slabs and
serves all panels of a shard while it is in the L2 cache. The sums are stored panel by panel too and added to the
gradients at the end: in the layout of the weights, with 512 units, it took 1.2 times as long. The work is split by
panels and, for many cores, each panel into `parts` of the weights' rows. Every sum runs over the rows in the same
order, whatever the number of shards.
"""

from __future__ import annotations

from . import bf16
from .jit import ShardedKernel, kernel
from .product import BLOCK, TILE_WIDTH, add_gradient, copy_columns, copy_slabs, unpack
from .simd import INDEX, PAIR, Emitter, View, vector_code


@vector_code
def add_rows(emit: Emitter, ids: View, dz: View, out: View) -> None:
    """Add each row of dz to the row of out that its id selects; both are (..., panel width)."""
    with emit.loop(ids.shape[0]) as loop:
        row = emit.builder.sext(emit.builder.load(ids.at(loop.index), typ=ids.emit.element), INDEX)
        for v in range(TILE_WIDTH):
            place = emit.move(out.at(row), v * emit.lanes)
            if dz.emit.element == PAIR:
                more = bf16.load_halves(emit, dz.emit.move(dz.at(loop.index), v * emit.lanes // 2))
            else:
                more = emit.load(emit.move(dz.at(loop.index), v * emit.lanes))
            emit.store(emit.load(place) + more, place)


@kernel
def _share(slabs, part, parts):
    """Return the range of slabs that belong to a part: the first, and one past the last."""
    return part * slabs.shape[0] // parts, (part + 1) * slabs.shape[0] // parts


@kernel
def _add_product(slabs, part, parts, panel, after, sums, columns):
    a, b = _share(slabs, part, parts)
    VL = slabs.shape[2]
    add_gradient(slabs[a:b], panel, after, sums[a * VL : b * VL].reshape((b - a, VL, panel.shape[1])), columns)


@kernel
def _clear_share(sums, slabs, part, parts):
    a, b = _share(slabs, part, parts)
    sums[a * slabs.shape[2] : b * slabs.shape[2]] = 0


@kernel
def _unpack_share(sums, slabs, part, parts, out, step, valid, less):
    a, b = _share(slabs, part, parts)
    VL, M = slabs.shape[2], out.shape[0]
    unpack(sums[a * VL :], out[min(a * VL, M) : min(b * VL, M)], step, valid, less)


@kernel
def _gate_block(p, part, parts, paired, ids, zeros, slabs_x, slabs_h, dz, after, panel, sums_x, sums_h, sums_b):
    """Add the contribution of a block of rows to one panel of columns."""
    if paired:
        copy_columns(dz, 0, panel)
        columns = panel
    else:
        columns = dz
    _add_product(slabs_h, part, parts, columns, after, sums_h, 4 * slabs_h.shape[2])
    _add_product(slabs_x, part, parts, columns, columns, sums_x, 4 * slabs_x.shape[2])
    if part == 0:
        add_rows(zeros, dz, sums_b)
        if slabs_x.shape[0] == 0:
            add_rows(ids, dz, sums_x)


@ShardedKernel
def add_gate_gradients(
    ids, x, h, dz, dW_x, dW_h, db, zeros, slabs_x, slabs_h, panels, sums_x, sums_h, sums_b, parts, s, shards
):
    """Add to dW_x (D or V, 4H), dW_h (R, 4H), db (1, 4H) the sums over N rows of ids (N), x (N, D), h (N, R) and dz.

    dz (P, at least N, 4 lanes) may have more rows, which are not read.

    Scratch memory: zeros (BLOCK), ids that select the only row; for each shard slabs_x, slabs_h (shards, slabs, BLOCK,
    lanes) and panels (shards, BLOCK, 4 lanes); the sums, by panel (P, rows, 4 lanes). If dz holds bf16 numbers, slabs
    and panels have BLOCK / 2 rows of pairs; otherwise panels is not used.
    """
    P, N = dz.shape[0], ids.shape[0]
    H, VL = dW_h.shape[1] // 4, slabs_h.shape[3]
    first, last = s * P * parts // shards, (s + 1) * P * parts // shards
    for item in range(first, last):
        p, part = item // parts, item % parts
        _clear_share(sums_h[p], slabs_h[s], part, parts)
        _clear_share(sums_x[p], slabs_x[s], part, parts)
        if part == 0:
            sums_b[p] = 0
            if slabs_x.shape[1] == 0:
                sums_x[p] = 0
    for a in range(0, N, BLOCK):
        b = min(a + BLOCK, N)
        n = -(-(b - a) * slabs_h.shape[2] // BLOCK)
        copy_slabs(x[a:b], slabs_x[s, :, :n])
        copy_slabs(h[a:b], slabs_h[s, :, :n])
        for item in range(first, last):
            p, part = item // parts, item % parts
            _gate_block(
                p,
                part,
                parts,
                panels.shape[1] < BLOCK,
                ids[a:b],
                zeros[: b - a],
                slabs_x[s, :, :n],
                slabs_h[s, :, :n],
                dz[p, a:b],
                dz[min((item + 1) // parts, P - 1), a:b],
                panels[s, :n],
                sums_x[p],
                sums_h[p],
                sums_b[p],
            )
    for item in range(first, last):
        p, part = item // parts, item % parts
        u = p * VL
        _unpack_share(sums_h[p], slabs_h[s], part, parts, dW_h[:, u:], H, H - u, 0)
        _unpack_share(sums_x[p], slabs_x[s], part, parts, dW_x[:, u:], H, H - u, 0)
        if part == 0:
            unpack(sums_b[p], db[:, u:], H, H - u, 0)
            if slabs_x.shape[1] == 0:
                unpack(sums_x[p], dW_x[:, u:], H, H - u, 0)


@ShardedKernel
def add_dense_gradients(h, dlogits, dW, db, zeros, slabs, panels, sums, sums_b, parts, s, shards):
    """Add to dW (H, V) and db (1, V) for h (N, H) and dlogits (N, V); scratch memory as in `add_gate_gradients`."""
    N, V = dlogits.shape
    width, VL = panels.shape[2], slabs.shape[3]
    P = -(-V // width)
    first, last = s * P * parts // shards, (s + 1) * P * parts // shards
    for item in range(first, last):
        _clear_share(sums[item // parts], slabs[s], item % parts, parts)
        if item % parts == 0:
            sums_b[item // parts] = 0
    for a in range(0, N, BLOCK):
        b = min(a + BLOCK, N)
        panel = panels[s, : b - a]
        copy_slabs(h[a:b], slabs[s, :, : b - a])
        for item in range(first, last):
            p, part = item // parts, item % parts
            copy_columns(dlogits[a:b], p * width, panel)
            _add_product(slabs[s, :, : b - a], part, parts, panel, panel, sums[p], V - p * width)
            if part == 0:
                add_rows(zeros[: b - a], panel, sums_b[p])
    for item in range(first, last):
        p, part = item // parts, item % parts
        v = p * width
        _unpack_share(sums[p], slabs[s], part, parts, dW[:, v:], VL, V - v, VL)
        if part == 0:
            unpack(sums_b[p], db[:, v:], VL, V - v, VL)
