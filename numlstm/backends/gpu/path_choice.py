"""Which way a layer is run over a sequence: all of its steps in one launch, or a product and a cell kernel a step.

Knows nothing about what the kernels compute; what they hold in shared memory is said beside them, in
`kernels/recurrence.cu`.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from ...errors import BackendError
from .device import facts

VARIABLE = "NUMLSTM_GPU_PATH"
PATHS = ("resident", "steps")

ROWS = (1, 2, 4)  # how many rows of the batch a block may own: there is a kernel for each
MOST_THREADS = 512  # of a block; the kernels' texts promise the compiler no more
MOST_UNITS = 256  # threads side by side
MOST_SLICES = 8
SLICE = 8  # rows of W_h that are worth a slice of their own

# Expectations, from NVIDIA's tables and others' measurements; nothing here was measured.
L2_BYTES = 50e9  # a second, of each multiprocessor
SHARED_BYTES = 200e9
FLOPS = 400e9  # float32
PRODUCT_SHARE = 0.5  # of FLOPS that a product of few rows reaches
LAUNCH = 8e-6  # seconds from one launch to the next, CuPy's own time included


class Device(NamedTuple):
    """What the choice needs to know of a device."""

    multiprocessors: int
    shared: int  # bytes that a block may have


class Shape(NamedTuple):
    """The threads of a block: units side by side, and slices of the sums over h."""

    units: int
    slices: int


class Launch(NamedTuple):
    """How one pass is launched: rows of W_h that each slice keeps in shared memory, and bytes of that memory."""

    kept: int
    shared: int


class Plan(NamedTuple):
    """The one-launch path for a layer: how many rows a block owns, its threads, and its two passes."""

    rows: int
    shape: Shape
    forward: Launch
    backward: Launch


def device() -> Device:
    """Return what is to be known of the current device."""
    found = facts()
    return Device(found.multiprocessors, found.shared_memory)


def block_shape(H: int) -> Shape:
    """Return the threads of a block for H units: of H alone, so that a row's sums never change their order."""
    units = min(-(-H // 32) * 32, MOST_UNITS)
    slices = 1
    while 2 * slices <= min(MOST_SLICES, MOST_THREADS // units, H // SLICE):
        slices *= 2
    return Shape(units, slices)


def _launch(weights: int, rest: int, H: int, shape: Shape, available: int) -> Launch | None:
    """Return the launch of a pass that needs `rest` bytes and keeps as much of W_h as has room, None if none has."""
    if rest > available:
        return None
    row = shape.slices * H * weights  # one row for each slice
    kept = min((available - rest) // row, -(-H // shape.slices))
    return Launch(kept, rest + kept * row)


def resident_plan(H: int, rows: int, itemsize: int, device: Device) -> Plan | None:
    """Return the one-launch path with so many rows to a block, None where they do not fit."""
    shape = block_shape(H)
    four, parts = 4 * itemsize, rows * shape.slices * shape.units
    forward = _launch(four, parts * four + 3 * rows * H * itemsize, H, shape, device.shared)
    backward = _launch(four, rows * H * four + parts * itemsize + 2 * rows * H * itemsize, H, shape, device.shared)
    return None if forward is None or backward is None else Plan(rows, shape, forward, backward)


def resident_seconds(H: int, B: int, itemsize: int, plan: Plan, device: Device) -> float:
    """Return what a step of the one-launch path is expected to take: see `choose`."""
    rounds = math.ceil(math.ceil(B / plan.rows) / device.multiprocessors)
    total = 4 * H * H * itemsize
    kept = min(plan.forward.kept * plan.shape.slices, H) * 4 * H * itemsize
    reading = (total - kept) / L2_BYTES + kept / SHARED_BYTES
    return rounds * max(reading, plan.rows * 8 * H * H * (itemsize / 4) / FLOPS)


def steps_seconds(H: int, B: int, itemsize: int, device: Device) -> float:
    """Return what a step is expected to take as a product and a cell kernel: see `choose`."""
    reading = 4 * H * H * itemsize / (L2_BYTES * device.multiprocessors)
    work = B * 8 * H * H * (itemsize / 4) / (FLOPS * PRODUCT_SHARE * device.multiprocessors)
    return 2 * LAUNCH + max(reading, work)


def asked() -> str:
    """Return the path that NUMLSTM_GPU_PATH asks for, "" for none. Raises `BackendError` if there is no such path."""
    path = os.environ.get(VARIABLE, "")
    if path and path not in PATHS:
        raise BackendError(f"{VARIABLE} is {path!r}; expected {' or '.join(PATHS)}, or leave it out")
    return path


def choose(H: int, B: int, itemsize: int, device: Device) -> Plan | None:
    """Return how a layer of H units runs over B rows in one launch, or None: a product and a cell kernel a step.

    A block of the one-launch path owns `rows` rows of the batch and reads all of W_h at each step, 4 H^2 numbers: what
    is kept of them from shared memory, the rest through L2. The blocks work side by side, one on each multiprocessor,
    and in as many rounds as there are more of them. So a step is expected to take

        rounds * max((4 H^2 bytes - kept) / L2_BYTES + kept / SHARED_BYTES,  rows * 8 H^2 / FLOPS)

    against two launches and a product that all multiprocessors share:

        2 * LAUNCH + max(4 H^2 bytes / (L2_BYTES * multiprocessors),  B * 8 H^2 / (FLOPS / 2 * multiprocessors))

    The figures are expectations, not measurements: they put the border near H = 256 for float32 and a batch that an
    H100 holds in one round. More rows to a block save rounds; of those that take the same time the fewest are taken.
    The threads and their slices are of H alone and ROWS changes no row's bits, but the two paths round differently,
    and B may decide between them; so may cuBLAS choose other sums for other numbers of rows.

    NUMLSTM_GPU_PATH=resident or steps overrides the choice. Raises `BackendError` for other values of it, and for
    resident where the layer does not fit. Layers with layer norm or a projection always go step by step: they are not
    asked about here. Products through cuBLAS follow --precision; the one-launch recurrence itself stays in the
    parameters' dtype.
    """
    path = asked()
    if path == "steps":
        return None
    plans = [plan for rows in ROWS if (plan := resident_plan(H, rows, itemsize, device)) is not None]
    if not plans:
        if path == "resident":
            raise BackendError(
                f"{VARIABLE} is resident, but a layer of {H} units does not fit the {device.shared} bytes of shared "
                "memory that a block may have: leave it out"
            )
        return None
    best = min(plans, key=lambda plan: resident_seconds(H, B, itemsize, plan, device))
    slow = resident_seconds(H, B, itemsize, best, device) > steps_seconds(H, B, itemsize, device)
    return None if slow and not path else best
