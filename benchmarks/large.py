"""How much memory does a text larger than memory take? Measures encoding and training from outside the process.

Writes a text of the given size in gigabytes and trains on it twice with `numlstm train`. Records the wall time and peak
memory of each process, including mapped files. The first run encodes the text; the second uses the encoded text.
Arguments after -- are passed to `numlstm train`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .measure import ROOT, environment, options, write_results

_STEPS = "200"
_SENTENCE = "the sea was calm and the old ship went on its way under a sky without clouds"
_LINES = 20_000  # lines that are repeated, each time with different numbers


def write_text(path: Path, size: int) -> None:
    """Write ASCII lines until the file has at least `size` bytes."""
    words = _SENTENCE.split()
    lines = [" ".join(words[(n * k) % len(words)] for k in range(1, 13)) for n in range(_LINES)]
    turn = 0
    with open(path, "w", encoding="ascii", newline="\n") as file:
        while file.tell() < size:
            file.write("".join(f"{turn + n} {line}.\n" for n, line in enumerate(lines)))
            turn += _LINES


def measured(command: list[str], cache: Path) -> dict[str, float]:
    """Run a command; return its wall time in seconds and its peak memory in MB. Linux and macOS only."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment(NUMLSTM_CACHE_DIR=str(cache)))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode} from {' '.join(command[1:])}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return {"seconds": round(time.monotonic() - started, 1), "peak_memory_mb": round(used.ru_maxrss / unit, 1)}


def measure(gigabytes: float, extra: list[str]) -> dict[str, Any]:
    """Train twice on a text of `gigabytes`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "large.txt"
        write_text(text, round(gigabytes * 1e9))
        command = [sys.executable, "-m", "numlstm", "train", str(text), "-o", str(folder / "large.npz"), "--overwrite"]
        command += ["--steps", _STEPS, "--val-split", "0.0001", "--sample-length", "0", *extra]
        found: dict[str, Any] = {"text_bytes": text.stat().st_size}
        for turn in ("encoding_and_training", "training"):
            found[turn] = measured(command, folder / "cache")
            print(f"{turn}: {found[turn]['seconds']:.0f} s, at most {found[turn]['peak_memory_mb']:.0f} MB", flush=True)
    return found


def main() -> None:
    parser = options("large", __doc__)
    parser.add_argument("--gigabytes", type=float, default=3.0, help="size of the text (default: 3)")
    parser.add_argument("extra", nargs="*", metavar="-- ARGUMENT", help="more arguments for `numlstm train`")
    args = parser.parse_args()
    if args.quick:
        args.gigabytes = 0.1
    write_results("large", args, measure(args.gigabytes, args.extra))


if __name__ == "__main__":
    main()
