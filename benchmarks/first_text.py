"""How long does it take from an empty virtual environment to the first generated text?

Creates two environments, one with numlstm and one with PyTorch, and reports the installation time and size separately.
Then each generates text with the shipped model: `numlstm gen shakespeare`, and a PyTorch script that loads the same
weights from a checkpoint. "first" is the first command in the new environment; "again" are the following ones, in
turns. Both must write the same likeliest text.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .contest import divided
from .measure import ROOT, environment, options, spread, write_results

_MODEL, _LENGTH = "shakespeare", 250
OURS, THEIRS = f"numlstm gen {_MODEL}", "a PyTorch script and a checkpoint"


class Place:
    """A virtual environment with the given packages installed."""

    def __init__(self, folder: Path, *packages: str) -> None:
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.cache = folder / "kernels"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        empty = _size(folder)
        started = time.perf_counter()
        subprocess.run([str(self.python), "-m", "pip", "install", "-q", *packages], check=True)
        self.about = {"seconds": time.perf_counter() - started, "megabytes": (_size(folder) - empty) / 1e6}

    def run(self, *command: str) -> tuple[float, str]:
        """Run Python with these arguments; return the wall time in seconds and the output."""
        env = environment(NUMLSTM_CACHE_DIR=str(self.cache))
        env.pop("PYTHONPATH", None)
        started = time.perf_counter()
        done = subprocess.run([str(self.python), *command], env=env, cwd=self.cache.parent, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode} from {command}:\n{done.stderr.decode()[-2000:]}")
        return time.perf_counter() - started, done.stdout.decode()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


# Converts the weights file to a checkpoint; runs in the environment with PyTorch and NumPy.
_CONVERT = """
import json, sys, numpy, torch
file = numpy.load(sys.argv[1])
meta = json.loads(str(file["meta"]))
get = lambda name: torch.from_numpy(file[name].astype("float32"))
weights = {"output.weight": get("output.W").T.contiguous(), "output.bias": get("output.b")}
for n in range(len(meta["config"]["layers"])):
    weights[f"lstm.weight_ih_l{n}"] = get(f"lstm.{n}.W_x").T.contiguous()
    weights[f"lstm.weight_hh_l{n}"] = get(f"lstm.{n}.W_h").T.contiguous()
    weights[f"lstm.bias_ih_l{n}"] = get(f"lstm.{n}.b")
    weights[f"lstm.bias_hh_l{n}"] = torch.zeros_like(get(f"lstm.{n}.b"))
torch.save({"symbols": meta["vocab"]["symbols"], "weights": weights}, sys.argv[2])
"""


def measure(rounds: int) -> dict[str, Any]:
    """Create both environments; time the first text and the following ones."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = Place(folder / "numlstm", str(ROOT))
        theirs = Place(folder / "torch", "torch", "numpy")
        theirs.run("-c", _CONVERT, str(ROOT / "models" / f"{_MODEL}.npz"), str(folder / "model.pt"))

        def commands(temperature: str) -> dict[str, tuple[Place, list[str]]]:
            gen = ["-m", "numlstm", "gen", _MODEL, "--length", str(_LENGTH), "--temperature", temperature]
            script = [str(ROOT / "benchmarks" / "gen_with_torch.py"), str(folder / "model.pt"), str(_LENGTH)]
            return {OURS: (ours, gen), THEIRS: (theirs, [*script, temperature])}

        first = {name: place.run(*command)[0] for name, (place, command) in commands("0.6").items()}
        likeliest = {name: place.run(*command)[1] for name, (place, command) in commands("0").items()}
        if len(set(likeliest.values())) > 1:
            raise RuntimeError(f"the likeliest texts differ: {likeliest}")
        again: dict[str, list[float]] = {name: [] for name in first}
        for _ in range(rounds):
            for name, (place, command) in commands("0.6").items():
                again[name].append(place.run(*command)[0])
        return {
            "unit": "seconds",
            "verification": {"text": likeliest[OURS]},
            "installed": {OURS: ours.about, THEIRS: theirs.about},
            "first": first,
            "again": {name: spread(each) for name, each in again.items()},
            "ratio": spread(divided(again[THEIRS], again[OURS])),
        }


def main() -> None:
    parser = options("first_text", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="runs of each after the first")
    args = parser.parse_args()
    if args.quick:
        args.rounds = 1
    found = measure(args.rounds)
    for name in (OURS, THEIRS):
        made = found["installed"][name]
        print(f"{name}: installed in {made['seconds']:.0f} s, {made['megabytes']:.0f} MB")
        print(f"    first text after {found['first'][name]:.2f} s, then {found['again'][name]['median']:.2f} s")
    print(f"PyTorch takes {found['ratio']['median']:.2f} times as long")
    write_results("first_text", args, found)


if __name__ == "__main__":
    main()
