"""How long do whole commands take, from the start of the process to its end?

Training is timed with nothing compiled yet and with the compiled code cached; everything else with a warm cache. A
bare interpreter shows what no Python program gets below.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import shapes
from .measure import ROOT, environment, options, spread, write_results
from .shapes import Shape

_STEPS = 5
_LENGTH = 250

Command = list[str]


def seconds(command: Command, cache: Path | None) -> float:
    """Run a command and return its wall time; raises `RuntimeError` if it fails.

    `cache` is the folder for compiled code, None the usual one.
    """
    where = {} if cache is None else {"NUMBA_CACHE_DIR": str(cache)}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(**where),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode} from {' '.join(command)}:\n{done.stderr[-2000:]}")
    return elapsed


def training(folder: Path) -> Command:
    """Return the command that trains a few steps on the text in `folder`."""
    where = ["-o", str(folder / "weights.npz"), "--overwrite"]
    return ["-m", "numlstm", "train", str(folder / "text.txt"), "--device", "cpu", "--steps", str(_STEPS), *where]


def generation(folder: Path) -> Command:
    """Return the command that writes text with the weights in `folder`."""
    weights = str(folder / "weights.npz")
    return ["-m", "numlstm", "gen", weights, "--device", "cpu", "--length", str(_LENGTH)]


def warm_commands(folder: Path) -> dict[str, Command]:
    """Return the commands that are timed in turns, training first."""
    return {
        f"numlstm train, {_STEPS} steps, warm cache": training(folder),
        f"numlstm gen, {_LENGTH} characters, warm cache": generation(folder),
        "numlstm --help": ["-m", "numlstm", "--help"],
        "python -c pass": ["-c", "pass"],
    }


def measure(cold_rounds: int, rounds: int) -> dict[str, Any]:
    """Time every command. Without cold rounds the warm cache is the usual one."""
    taken: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_text(folder / "text.txt")
        caches = [folder / f"cache{n}" for n in range(cold_rounds)]
        if caches:
            cold = [seconds(training(folder), cache) for cache in caches]
            taken[f"numlstm train, {_STEPS} steps, nothing compiled"] = spread(cold)
        return taken | _in_turns(warm_commands(folder), caches[-1] if caches else None, rounds)


def _in_turns(commands: Mapping[str, Command], cache: Path | None, rounds: int) -> dict[str, Any]:
    for command in commands.values():
        seconds(command, cache)  # fills the cache with whatever the command still lacks
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            taken[name].append(seconds(command, cache))
    return {name: spread(each) for name, each in taken.items()}


def _write_text(path: Path) -> None:
    shape = Shape((128, 128), batch_size=32, seq_len=64)
    ids = shapes.text(shape, windows=20)
    path.write_text("".join(shape.symbols[id_] for id_ in ids), "utf-8")


def main() -> None:
    parser = options("startup", __doc__)
    parser.add_argument("--cold-rounds", type=int, default=3, help="runs with nothing compiled")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each other command")
    args = parser.parse_args()
    if args.quick:
        args.cold_rounds, args.rounds = 0, 2
    commands = measure(args.cold_rounds, args.rounds)
    for name, taken in commands.items():
        print(f"{taken['median']:8.2f} s   {name}")
    write_results("startup", args, {"unit": "seconds", "commands": commands})


if __name__ == "__main__":
    main()
