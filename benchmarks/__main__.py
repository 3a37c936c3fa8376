"""Run all benchmarks, one after the other: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from .measure import ROOT

SCRIPTS = ("kernels", "train", "generate", "startup", "quality")


def main() -> int:
    """Run the scripts; return 1 if any failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short trials, which write no results")
    quick = ["--quick"] if parser.parse_args().quick else []
    failed = 0
    for script in SCRIPTS:
        print(f"\n{script}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *quick], cwd=ROOT).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
