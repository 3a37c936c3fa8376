"""Describe the GPU for a report: its properties, the versions of its software, and the path that layers take."""

from __future__ import annotations

import os

from ...errors import BackendError
from . import path_choice
from .device import facts

# Layers (H, B) whose path the report shows: the largest that `numlstm check` runs, and the benchmarks', in float32.
_LAYERS = ((33, 7), (128, 16), (128, 32), (128, 128), (256, 64), (512, 64), (512, 100))
_FLOAT = 4  # bytes


def about() -> dict[str, str]:
    found = facts()
    return {
        "gpu": found.name,
        "sm": str(found.sm),
        "multiprocessors": str(found.multiprocessors),
        "shared memory": f"{found.shared_memory / 1024:.0f} KiB a block",
        "memory": f"{found.total_memory / 2**30:.1f} GiB",
        "driver": f"for CUDA {found.driver}",
        "cuda": found.runtime,
        "cupy": found.cupy,
        "nvrtc": found.nvrtc,
        "paths": "; ".join(f"{H} units, {B} rows: {_path(H, B)}" for H, B in _LAYERS),
    }


def _path(H: int, B: int) -> str:
    try:
        plan = path_choice.choose(H, B, _FLOAT, path_choice.device())
    except BackendError:  # NUMLSTM_GPU_PATH is resident and this layer does not fit, or it names no path
        return f"not {os.environ[path_choice.VARIABLE]}"
    return "steps" if plan is None else f"resident, blocks of {plan.rows}"
