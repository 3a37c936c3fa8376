"""The architectures that the kernels are compiled for, and which blocks fit on a multiprocessor of each.

The figures come from the tables of NVIDIA's programming guide, the rules from NVIDIA's own header, compiled by g++.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import subprocess
from pathlib import Path
from typing import NamedTuple


class Processor(NamedTuple):
    """A multiprocessor: shared memory per block (KiB), shared memory in all (KiB), threads."""

    shared_per_block: int
    shared: int
    threads: int


PROCESSORS = {
    70: Processor(96, 96, 2048),
    75: Processor(64, 64, 1024),
    80: Processor(163, 164, 2048),
    86: Processor(99, 100, 1536),
    87: Processor(163, 164, 1536),
    88: Processor(99, 100, 1536),
    89: Processor(99, 100, 1536),
    90: Processor(227, 228, 2048),
    100: Processor(227, 228, 2048),
    103: Processor(227, 228, 2048),
    110: Processor(227, 228, 1536),
    120: Processor(99, 100, 1536),
    121: Processor(99, 100, 1536),
}
CUDA_12 = (70,)  # no longer supported by CUDA 13
GENERATIONS = (70, 75, 80, 90, 100, 120)  # one of each; the others have their predecessor's instructions


def headers() -> Path | None:
    """Return the folder of the CUDA runtime's headers, or None if they are not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) / "cu13/include" for folder in (spec.submodule_search_locations if spec else None) or ()]
    return next((folder for folder in folders if (folder / "cuda_occupancy.h").exists()), None)


class Occupancy:
    """NVIDIA's occupancy rules, compiled into `folder`."""

    def __init__(self, folder: Path) -> None:
        source, made = Path(__file__).with_name("occupancy.cpp"), folder / "occupancy.so"
        command = ["g++", "-O1", "-shared", "-fPIC", f"-I{headers()}", str(source), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        self._blocks = ctypes.CDLL(str(made)).blocks_at_once

    @functools.cache  # noqa: B019
    def blocks(self, sm: int, threads: int, registers: int, static: int = 0, dynamic: int = 0) -> int:
        """Return how many such blocks run on one multiprocessor at once; 0 or less if none can be launched."""
        card = PROCESSORS[sm]
        limits = card.shared_per_block * 1024, card.shared * 1024, card.threads
        return int(self._blocks(sm, threads, registers, static, dynamic, *limits))
