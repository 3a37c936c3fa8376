"""Shows that the ladder catches faults: plants one after the other, and asks each rung whether it sees it.

    python -m tests.backends.gpu.faults --again         all of them, two at a time: about half an hour
    python -m tests.backends.gpu.faults --only sums.cu  those of one file

Each fault of `planted_kernels.py` and `planted_host.py` is planted in a copy of the package, and each rung's tests are
run on the copy until one fails. Prints a table and keeps it in `faults.json`, fault by fault: it goes on where it was
stopped. Exits with 1 if no rung caught one of them.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.backends.gpu.planted_host import HOST
from tests.backends.gpu.planted_kernels import KERNELS
from tests.mutation.project_copy import ROOT, copy_project, run_pytest

RESULTS = Path(__file__).with_suffix(".json")
GPU = Path("numlstm/backends/gpu")
SECONDS = 900  # that a rung may take: a kernel that hangs is caught

# The tests of each rung, those that stop soonest first. Kernels that a fault cannot be in are left out: see `tests_of`.
KERNEL_TESTS = {
    "recurrence.cu": ["test_recurrence.py"],
    "cells.cu": ["test_recurrence.py"],
    "columns.cu": ["test_recurrence.py", "test_dense.py"],
    "dense.cu": ["test_dense.py"],
    "sums.cu": ["test_updates.py", "test_dense.py"],
    "updates.cu": ["test_updates.py"],
    "masks.cu": ["test_masks.py"],
    "text.cu": ["test_transfer.py"],
    "generation.cu": ["test_generation.py"],
    "sampling.cuh": ["test_generation.py"],
    "generation_steps.cu": ["test_generation.py"],
}
CONTRACT = "tests/backends/test_contract.py"
VARIANTS = "tests/backends/test_variants.py"
DRAWING = [
    "tests/backends/test_generation.py",
    "tests/backends/spec/test_sampling.py",
    "tests/backends/spec/test_philox.py",
]
TRANSFER, TRAINING = "tests/backends/gpu/test_transfer.py", "tests/backends/gpu/test_training.py"
# Of the whole backend's, with pytest's -k, those that call a kernel; for the rest of it all.
BACKEND_TESTS = {
    "recurrence.cu": ([CONTRACT], "emulated and (layer or added)"),
    "cells.cu": ([VARIANTS], "emulated"),
    "columns.cu": ([CONTRACT], "emulated and (layer or added)"),
    "dense.cu": ([CONTRACT], "emulated and (dense or loss)"),
    "sums.cu": ([CONTRACT], "emulated and (norm or loss or adam)"),
    "updates.cu": ([CONTRACT], "emulated and (adam or rule or clamp or approach)"),
    "masks.cu": ([VARIANTS], "emulated"),
    "text.cu": ([CONTRACT], "emulated and windows"),
}
DRAWING_TESTS = (DRAWING, "emulated or philox or every_backend")
PRODUCTS = "tests/backends/gpu/test_recurrence.py::test_products"
MASKS = "tests/backends/gpu/test_masks.py"
WHOLE = ([PRODUCTS, MASKS, CONTRACT, VARIANTS, *DRAWING, TRANSFER, TRAINING], "not cpu")
RUNGS = ("1", "2", "2s", "3")


class Fault(NamedTuple):
    """What is planted: in a file below the package of the GPU backend, the first `old` becomes `new`."""

    file: str
    old: str
    new: str

    @property
    def kernel(self) -> bool:
        """Whether it is in a kernel."""
        return self.file.endswith((".cu", ".cuh"))

    @property
    def of_memory(self) -> bool:
        """Whether it is of what the sanitizers watch: a barrier, a bound, or a place in shared memory."""
        return self.kernel and any(
            sign in self.old for sign in ("__sync", ">= B", "PER_BLOCK", "depth", "% 2", "(t & 1)")
        )


def faults() -> list[Fault]:
    """Return all faults, those of the kernels first."""
    return [Fault(f"kernels/{file}", old, new) for file, old, new in KERNELS] + [Fault(*each) for each in HOST]


def plant(fault: Fault, root: Path) -> None:
    """Plant a fault in the package below `root`; raises ValueError if there is no place for it."""
    path = root / GPU / fault.file
    text = path.read_text(encoding="utf-8")
    if fault.old not in text:
        raise ValueError(f"{fault.file} has no {fault.old!r}")
    path.write_text(text.replace(fault.old, fault.new, 1), encoding="utf-8")


def tests_of(fault: Fault | None, rung: str) -> list[str]:
    """Return what pytest is to run of a rung for a fault, nothing where the rung cannot see it."""
    kernels = sorted({name for names in KERNEL_TESTS.values() for name in names})
    own = kernels if fault is None or not fault.kernel else KERNEL_TESTS[Path(fault.file).name]
    in_kernel = fault is None or fault.kernel
    if rung == "1":  # for one architecture: what is no CUDA, or float64 where there should be none
        texts = sorted({Path(each.file).stem for each in faults() if each.kernel} - {"sampling"})
        stem = None if fault is None else Path(fault.file).stem
        names = texts if stem is None else [{"sampling": "generation"}.get(stem, stem)]
        test = "tests/backends/gpu/test_compiled_by_nvidia.py::test_the_float_build_computes_in_float"
        return [f"{test}[{name}]" for name in names] if in_kernel else []
    if rung == "2":
        return [f"tests/backends/gpu/{name}" for name in own] if in_kernel else []
    if rung == "2s":
        whole = "tests/backends/gpu/test_sanitized.py"
        chosen = (
            {"recurrence.cu": "resident", "cells.cu": "steps or rest"}.get(Path(fault.file).name, "rest")
            if fault
            else ""
        )
        return [whole, *(["-k", chosen] if chosen else [])] if fault is None or fault.of_memory else []
    files, words = BACKEND_TESTS.get(Path(fault.file).name, DRAWING_TESTS) if fault and fault.kernel else WHOLE
    return [*files, "-k", words]


def caught(fault: Fault | None, rung: str) -> str:
    """Return "yes", "no" or, for a rung that has no test that could see the fault, "-"."""
    chosen = tests_of(fault, rung)
    if not chosen:
        return "-"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        copy_project(ROOT, copy)
        if fault is not None:
            plant(fault, copy)
        # Of whatever marker, and in one process: the faults themselves are planted side by side.
        ran = run_pytest(copy, ["-o", "addopts=-q -p no:schemathesis", *chosen], SECONDS)
    if ran.code in (2, 3, 4, 5):  # pytest's own: usage, nothing found, an error of collection
        raise RuntimeError(f"{fault}, rung {rung}: pytest ended with {ran.code}\n{ran.output[-2000:]}")
    if ran.code == 0 and " passed" not in ran.output:
        raise RuntimeError(f"rung {rung} ran nothing here:\n{ran.output[-2000:]}")
    return "no" if ran.code == 0 else "yes"


def judged(fault: Fault) -> dict[str, str]:
    """Return what each rung said of a fault."""
    started = time.perf_counter()
    found = {rung: caught(fault, rung) for rung in RUNGS}
    marks = "  ".join(f"{rung}: {said:3}" for rung, said in found.items())
    print(f"{marks}  {fault.file}: {fault.new.strip()[:70]!r} ({time.perf_counter() - started:.0f} s)", flush=True)
    return found


def kept() -> dict[Fault, dict[str, str]]:
    """Return what the rungs said of the faults when they were last asked."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {Fault(each["file"], each["old"], each["new"]): {rung: each[rung] for rung in RUNGS} for each in results}


def main() -> int:
    """Plant the faults that were asked for, and tell what caught them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="faults of files whose name has this")
    parser.add_argument("--again", action="store_true", help="those too of which faults.json tells already")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time")
    parser.add_argument("--as-is", action="store_true", help="ask the rungs without any fault first")
    asked = parser.parse_args()
    if asked.as_is and (wrong := [rung for rung in RUNGS if caught(None, rung) != "no"]):
        print(f"without any fault these rungs fail: {', '.join(wrong)}")
        return 1
    known = {} if asked.again or not RESULTS.exists() else kept()
    chosen = [fault for fault in faults() if asked.only in fault.file and fault not in known]
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        for fault, found in zip(chosen, pool.map(judged, chosen), strict=True):
            known[fault] = found
            results = [{**each._asdict(), **known[each]} for each in faults() if each in known]
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    results = [{**each._asdict(), **known[each]} for each in faults() if each in known]
    survived = [each for each in results if "yes" not in [each[rung] for rung in RUNGS]]
    for rung in RUNGS:
        asked_of = [each for each in results if each[rung] != "-"]
        print(f"rung {rung}: caught {sum(each[rung] == 'yes' for each in asked_of)} of {len(asked_of)}")
    print(f"{len(results)} faults, {len(survived)} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
