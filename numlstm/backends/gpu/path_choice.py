"""Choose how a layer runs over a sequence: all steps in one launch, or a product and a cell kernel per step.

`kernels/recurrence.cu` documents the shared memory of the one-launch kernels.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from ...errors import BackendError
from .device import facts

VARIABLE = "NUMLSTM_GPU_PATH"
PATHS = ("resident", "steps")

ROWS = (1, 2, 4)  # rows of the batch per block: there is a kernel for each
MOST_THREADS = 512  # per block; the kernels' launch bounds allow no more
MOST_UNITS = 256  # threads along the units
MOST_SLICES = 8
SLICE = 8  # the fewest rows of W_h that are worth a slice of their own

# Estimates from NVIDIA's tables and published measurements; we measured none of them.
L2_BYTES = 50e9  # per second and multiprocessor
SHARED_BYTES = 200e9
FLOPS = 400e9  # float32
PRODUCT_SHARE = 0.5  # the fraction of FLOPS that a product of few rows reaches
LAUNCH = 8e-6  # seconds from one launch to the next, including CuPy's overhead


class Device(NamedTuple):
    """The device properties that the choice depends on."""

    multiprocessors: int
    shared: int  # the most bytes of shared memory per block


class Shape(NamedTuple):
    """The shape of a thread block: units, times slices of the sums over h."""

    units: int
    slices: int


class Launch(NamedTuple):
    """How one pass is launched: rows of W_h that each slice keeps in shared memory, and that memory's total bytes."""

    kept: int
    shared: int


class Plan(NamedTuple):
    """The one-launch path for a layer: rows per block, the block's threads, and the two passes."""

    rows: int
    shape: Shape
    forward: Launch
    backward: Launch


def device() -> Device:
    """Return the properties of the current device."""
    found = facts()
    return Device(found.multiprocessors, found.shared_memory)


def block_shape(H: int) -> Shape:
    """Return the threads of a block for H units. They depend only on H, so the order of a row's sums never changes."""
    units = min(-(-H // 32) * 32, MOST_UNITS)
    slices = 1
    while 2 * slices <= min(MOST_SLICES, MOST_THREADS // units, H // SLICE):
        slices *= 2
    return Shape(units, slices)


def _launch(weights: int, rest: int, H: int, shape: Shape, available: int) -> Launch | None:
    """Return the launch of a pass that needs `rest` bytes and keeps as much of W_h as fits; None if `rest` does not."""
    if rest > available:
        return None
    row = shape.slices * H * weights  # one row for each slice
    kept = min((available - rest) // row, -(-H // shape.slices))
    return Launch(kept, rest + kept * row)


def resident_plan(H: int, rows: int, itemsize: int, device: Device) -> Plan | None:
    """Return the one-launch path with `rows` rows per block, or None if they do not fit."""
    shape = block_shape(H)
    four, parts = 4 * itemsize, rows * shape.slices * shape.units
    forward = _launch(four, parts * four + 3 * rows * H * itemsize, H, shape, device.shared)
    backward = _launch(four, rows * H * four + parts * itemsize + 2 * rows * H * itemsize, H, shape, device.shared)
    return None if forward is None or backward is None else Plan(rows, shape, forward, backward)


def resident_seconds(H: int, B: int, itemsize: int, plan: Plan, device: Device) -> float:
    """Return the expected seconds per step of the one-launch path: see `choose`."""
    rounds = math.ceil(math.ceil(B / plan.rows) / device.multiprocessors)
    total = 4 * H * H * itemsize
    kept = min(plan.forward.kept * plan.shape.slices, H) * 4 * H * itemsize
    reading = (total - kept) / L2_BYTES + kept / SHARED_BYTES
    return rounds * max(reading, plan.rows * 8 * H * H * (itemsize / 4) / FLOPS)


def steps_seconds(H: int, B: int, itemsize: int, device: Device) -> float:
    """Return the expected seconds per step as a product and a cell kernel: see `choose`."""
    reading = 4 * H * H * itemsize / (L2_BYTES * device.multiprocessors)
    work = B * 8 * H * H * (itemsize / 4) / (FLOPS * PRODUCT_SHARE * device.multiprocessors)
    return 2 * LAUNCH + max(reading, work)


def asked() -> str:
    """Return the path set by NUMLSTM_GPU_PATH, "" if it is unset. Raises `BackendError` if there is no such path."""
    path = os.environ.get(VARIABLE, "")
    if path and path not in PATHS:
        raise BackendError(f"{VARIABLE} is {path!r}; expected {' or '.join(PATHS)}, or leave it out")
    return path


def choose(H: int, B: int, itemsize: int, device: Device) -> Plan | None:
    """Return the plan to run a layer of H units over B rows in one launch, or None for a product and a cell kernel.

    A block of the one-launch path owns `rows` rows of the batch and reads all of W_h at each step, 4 H^2 numbers: those
    that it kept from shared memory, the rest through L2. Each multiprocessor runs one block at a time, so more blocks
    than multiprocessors take several rounds. The expected time per step is

        rounds * max((4 H^2 bytes - kept) / L2_BYTES + kept / SHARED_BYTES,  rows * 8 H^2 / FLOPS)

    The other path takes two launches, and all multiprocessors share its product:

        2 * LAUNCH + max(4 H^2 bytes / (L2_BYTES * multiprocessors),  B * 8 H^2 / (FLOPS / 2 * multiprocessors))

    The constants are estimates, not measurements. They put the break-even point near H = 256 for float32 and a batch
    that an H100 holds in one round. More rows per block save rounds; of plans with the same expected time, the one with
    the fewest rows is chosen. Threads and slices depend only on H, and ROWS does not change a row's bits. But the two
    paths round differently, and B may decide between them; cuBLAS may also sum in another order for another number of
    rows.

    NUMLSTM_GPU_PATH=resident or steps overrides the choice. Raises `BackendError` for other values of it, and for
    resident if the layer does not fit. Layers with layer norm or a projection always run step by step, so this function
    is not called for them. Products through cuBLAS follow --precision; the one-launch recurrence itself stays in the
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
