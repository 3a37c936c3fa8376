"""Show that the ladder catches faults: plant one at a time and check which rungs detect it.

    python -m tests.backends.gpu.faults --again         all faults, two at a time: about half an hour
    python -m tests.backends.gpu.faults --only sums.cu  the faults in one file

Each fault of `planted_kernels.py` and `planted_host.py` is planted in a copy of the package, and each rung's tests run
on the copy until one fails. Prints a table and saves it to `faults.json` after each fault, so that an interrupted run
can resume. Exits with 1 if any fault was caught by no rung.
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
SECONDS = 900  # timeout for a rung; a kernel that hangs counts as caught

# The kernel tests to run for a fault in each file, the quickest to fail first; see `tests_of`.
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
# The backend tests and pytest's -k for a fault in each file. Kernels not listed get DRAWING_TESTS, host faults WHOLE.
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
    """A fault: in `file`, relative to the GPU backend's package, the first `old` becomes `new`."""

    file: str
    old: str
    new: str

    @property
    def kernel(self) -> bool:
        """True if the fault is in a kernel."""
        return self.file.endswith((".cu", ".cuh"))

    @property
    def of_memory(self) -> bool:
        """True if the sanitizers could detect it: it affects a barrier, a bound or an index into shared memory."""
        return self.kernel and any(
            sign in self.old for sign in ("__sync", ">= B", "PER_BLOCK", "depth", "% 2", "(t & 1)")
        )


def faults() -> list[Fault]:
    """Return all faults, kernel faults first."""
    return [Fault(f"kernels/{file}", old, new) for file, old, new in KERNELS] + [Fault(*each) for each in HOST]


def plant(fault: Fault, root: Path) -> None:
    """Plant a fault in the package below `root`. Raises `ValueError` if the file does not contain `fault.old`."""
    path = root / GPU / fault.file
    text = path.read_text(encoding="utf-8")
    if fault.old not in text:
        raise ValueError(f"{fault.file} has no {fault.old!r}")
    path.write_text(text.replace(fault.old, fault.new, 1), encoding="utf-8")


def tests_of(fault: Fault | None, rung: str) -> list[str]:
    """Return pytest's arguments for a rung and a fault, or [] if the rung cannot detect the fault."""
    kernels = sorted({name for names in KERNEL_TESTS.values() for name in names})
    own = kernels if fault is None or not fault.kernel else KERNEL_TESTS[Path(fault.file).name]
    in_kernel = fault is None or fault.kernel
    if rung == "1":  # for one architecture: invalid CUDA, or float64 arithmetic where there should be none
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
    """Return "yes", "no", or "-" if the rung has no test that could detect the fault."""
    chosen = tests_of(fault, rung)
    if not chosen:
        return "-"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        copy_project(ROOT, copy)
        if fault is not None:
            plant(fault, copy)
        # Ignore markers, and use one process: the faults themselves run in parallel.
        ran = run_pytest(copy, ["-o", "addopts=-q -p no:schemathesis", *chosen], SECONDS)
    if ran.code in (2, 3, 4, 5):  # interrupted or a collection error, internal error, usage error, no tests
        raise RuntimeError(f"{fault}, rung {rung}: pytest ended with {ran.code}\n{ran.output[-2000:]}")
    if ran.code == 0 and " passed" not in ran.output:
        raise RuntimeError(f"rung {rung} ran nothing here:\n{ran.output[-2000:]}")
    return "no" if ran.code == 0 else "yes"


def judged(fault: Fault) -> dict[str, str]:
    """Return each rung's result for a fault."""
    started = time.perf_counter()
    found = {rung: caught(fault, rung) for rung in RUNGS}
    marks = "  ".join(f"{rung}: {said:3}" for rung, said in found.items())
    print(f"{marks}  {fault.file}: {fault.new.strip()[:70]!r} ({time.perf_counter() - started:.0f} s)", flush=True)
    return found


def kept() -> dict[Fault, dict[str, str]]:
    """Return the saved results of each fault."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {Fault(each["file"], each["old"], each["new"]): {rung: each[rung] for rung in RUNGS} for each in results}


def main() -> int:
    """Plant the chosen faults and print what caught them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only faults in files whose name contains this")
    parser.add_argument("--again", action="store_true", help="also faults that faults.json already has results for")
    parser.add_argument("--jobs", type=int, default=2, help="faults to run in parallel")
    parser.add_argument("--as-is", action="store_true", help="first check that the rungs pass without a fault")
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
