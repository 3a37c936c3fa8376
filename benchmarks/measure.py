"""Shared parts of all benchmarks: options, the description of the machine, spreads, and the results file."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TUNED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "10000000000",
    "MALLOC_TOP_PAD_": "100000000",
}  # glibc then keeps freed memory, instead of returning it to the system and faulting it in again

_DISTURBING = (
    "OPENBLAS_",
    "MALLOC_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "NUMBA_NUM_THREADS",
    "NUMLSTM_",
    "ONEDNN_",
    "DNNL_",
    "ATEN_",
)
_KEPT = ("NUMLSTM_CACHE_DIR",)  # the usual cache of compiled code is the user's own
_VECTOR_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd")


def options(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options common to all scripts."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="a short trial; writes no results unless -o is given")
    parser.add_argument("-o", "--output", type=Path, help=f"results file (default: benchmarks/results/{name}.json)")
    return parser


def write_results(name: str, args: argparse.Namespace, results: dict[str, Any], variant: str = "") -> Path | None:
    """Write the results with the machine and the settings; return the path, or None for a quick run.

    `variant` is appended to the default file name.
    """
    path: Path | None = args.output or (None if args.quick else RESULTS / f"{name}{variant}.json")
    if path is None:
        print("a quick run: nothing written (give -o to keep it)")
        return None
    settings = {key: value for key, value in vars(args).items() if key not in ("output", "corpus")}
    document = {"benchmark": name, "machine": machine(), "settings": settings, **results}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")
    print(f"wrote {path}")
    return path


def thread_counts() -> list[int]:
    """Return the thread counts to compare: one, and all cores."""
    return sorted({1, cores()})


def threads_in_words(threads: int) -> str:
    return f"{threads} thread{'s' * (threads > 1)}"


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment plus `extra`, without variables that affect libraries' threads or memory."""
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or not key.startswith(_DISTURBING)}
    return {**kept, **extra}


def compiled_code_in(folder: Path | None) -> dict[str, str]:
    """Return the environment variables that make numlstm cache compiled code in `folder` (None: the usual one)."""
    return {} if folder is None else {"NUMLSTM_CACHE_DIR": str(folder), "NUMBA_CACHE_DIR": str(folder)}


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def judge() -> dict[str, str]:
    """Return the version of PyTorch to compare with, or why there is none."""
    if importlib.util.find_spec("torch") is None:
        return {"absent": "PyTorch is not installed: `pip install .[judge]` brings it"}
    return {"torch": importlib.metadata.version("torch")}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the median, the quartiles, the range and the values themselves, to five digits."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {
        "median": _digits(statistics.median(values)),
        "quartiles": [_digits(low), _digits(high)],
        "range": [_digits(min(values)), _digits(max(values))],
        "rounds": [_digits(value) for value in values],
    }


def machine() -> dict[str, Any]:
    """Describe the machine, the versions and the state of the source."""
    return {
        "processor": _processor(),
        "vector_units": [flag for flag in _VECTOR_FLAGS if flag in _cpuinfo("flags", "Features").split()],
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "os": _system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("numlstm", "numpy", "numba", "llvmlite", "torch")},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _dirty(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _digits(value: float) -> float:
    return float(f"{value:.5g}")


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _system() -> str:
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}, {'-'.join(platform.libc_ver())}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']} ({kernel})"
    except OSError:
        return kernel


def _cpuinfo(*names: str) -> str:
    """Return the first value under one of `names` in /proc/cpuinfo, or "" if there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def _version(name: str) -> str | None:
    if name == "numlstm":
        import numlstm

        return numlstm.__version__  # this checkout's version, installed or not
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _dirty() -> bool | None:
    """Return True if the source differs from the commit, ignoring the results, which every script changes."""
    changes = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return None if changes is None else bool(changes)


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        print("git does not answer: the results will not say which commit they are of", file=sys.stderr)
        return None
    return done.stdout.strip()
