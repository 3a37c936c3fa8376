"""How long do whole commands take, from the start of the process to its end?

Times training and generation with nothing compiled and with the compiled code cached. For comparison it times the same
generation as a PyTorch script and as a NumPy script, and a bare interpreter, the minimum for any Python program. First
numlstm and both scripts must write the same likeliest text.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import pictures, shapes
from .contest import Rates, divided
from .measure import ROOT, compiled_code_in, environment, judge, options, spread, write_results
from .shapes import Shape

_SHAPE = Shape((128, 128), batch_size=32, seq_len=64)
_GAIN = 4.0  # scale of the parameters, so that the likeliest text varies
_STEPS = 5
_LENGTH, _LONG = 250, 5000
OURS = f"numlstm gen, {_LENGTH} characters"

Command = list[str]


def run(command: Command, cache: Path | None) -> tuple[float, str]:
    """Run a command; return its wall time in seconds and its output. Raises `RuntimeError` if it fails.

    `cache` is the folder for compiled code (None: the usual one).
    """
    env = environment(**compiled_code_in(cache))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode} from {' '.join(command)}:\n{done.stderr[-2000:]}")
    return elapsed, done.stdout


def training(folder: Path) -> Command:
    """Return the command that trains for a few steps on the text in `folder`."""
    where = ["-o", str(folder / "trained.npz"), "--overwrite"]
    return ["-m", "numlstm", "train", str(folder / "text.txt"), "--device", "cpu", "--steps", str(_STEPS), *where]


def generation(folder: Path, length: int, temperature: float = 0.6) -> Command:
    """Return the command that generates text with the weights in `folder`."""
    settings = ["--length", str(length), "--temperature", str(temperature)]
    return ["-m", "numlstm", "gen", str(folder / "numlstm.npz"), *settings]


def scripts(folder: Path, temperature: float = 0.6) -> dict[str, Command]:
    """Write the weights in each script's format; return the commands of the comparison scripts."""
    found = {}
    if "torch" in judge():
        found["the same as a PyTorch script"] = _script("gen_with_torch", _torch_weights(folder), temperature)
    found["the same as a NumPy script"] = _script("gen_with_numpy", _numpy_weights(folder), temperature)
    return found


def _script(name: str, weights: Path, temperature: float) -> Command:
    return [str(ROOT / "benchmarks" / f"{name}.py"), str(weights), str(_LENGTH), str(temperature)]


def verify(folder: Path, cache: Path | None) -> dict[str, Any]:
    """Return the likeliest text. Raises `RuntimeError` if a script's text differs from numlstm's."""
    _, expected = run(generation(folder, _LENGTH, 0.0), cache)
    for name, command in scripts(folder, 0.0).items():
        _, found = run(command, cache)
        if found != expected:
            raise RuntimeError(f"numlstm writes {expected!r}, but {name} {found!r}; expected the same likeliest text")
    return {"text": expected}


def measure(cold_rounds: int, rounds: int) -> dict[str, Any]:
    """Time all commands. Without cold rounds, the warm cache is the usual one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_files(folder)
        warm = {
            f"numlstm train, {_STEPS} steps": training(folder),
            OURS: generation(folder, _LENGTH),
            **scripts(folder),
            f"numlstm gen, {_LONG:,} characters": generation(folder, _LONG),
            "numlstm --help": ["-m", "numlstm", "--help"],
            "python -c pass": ["-c", "pass"],
        }
        cold = {f"{name}, nothing compiled": warm[name] for name in list(warm)[:2]}
        taken = _in_turns(cold, cold_rounds, lambda place: folder / f"cache {place}")
        cache = folder / "cache" if cold_rounds else None
        verification = verify(folder, cache)
        run(training(folder), cache)  # together with `verify`, this fills the cache
        taken |= _in_turns(warm, rounds, lambda _: cache)
    return {
        "unit": "seconds",
        "verification": verification,
        "commands": {name: spread(each) for name, each in taken.items()},
        "ratios": {OURS: {name: spread(divided(taken[name], taken[OURS])) for name in warm if "script" in name}},
    }


def _in_turns(commands: Mapping[str, Command], rounds: int, cache: Callable[[str], Path | None]) -> Rates:
    """Return the seconds of each command in each round; `cache` maps "ROUND COMMAND" to the cache folder."""
    taken: Rates = {name: [] for name in commands} if rounds else {}
    for turn in range(rounds):
        for place, (name, command) in enumerate(commands.items()):
            taken[name].append(run(command, cache(f"{turn} {place}"))[0])
    return taken


def _write_files(folder: Path) -> None:
    from numlstm.network import weights_file
    from numlstm.network.parameters import flatten
    from numlstm.settings.network import NetworkSettings
    from numlstm.text.vocab.char import CharVocab

    ids = shapes.text(_SHAPE, windows=20)
    (folder / "text.txt").write_text("".join(_SHAPE.symbols[id_] for id_ in ids), "utf-8")
    config = NetworkSettings(_SHAPE.vocab_size, _SHAPE.layers)
    flat = flatten(shapes.parameters(_SHAPE, _GAIN), config)
    weights_file.save(folder / "numlstm.npz", weights_file.WeightsFile(config, CharVocab(_SHAPE.symbols), flat, {}))


def _numpy_weights(folder: Path) -> Path:
    path = folder / "numpy.npz"
    np.savez(path, symbols=np.array(_SHAPE.symbols), **shapes.parameters(_SHAPE, _GAIN))
    return path


def _torch_weights(folder: Path) -> Path:
    import torch

    named = {name: torch.from_numpy(array.T.copy()) for name, array in shapes.parameters(_SHAPE, _GAIN).items()}
    found = {"output.weight": named["output.W"], "output.bias": named["output.b"]}
    for n in range(len(_SHAPE.layers)):
        parts = {"weight_ih": "W_x", "weight_hh": "W_h", "bias_ih": "b"}
        found |= {f"lstm.{theirs}_l{n}": named[f"lstm.{n}.{ours}"] for theirs, ours in parts.items()}
        found[f"lstm.bias_hh_l{n}"] = torch.zeros_like(named[f"lstm.{n}.b"])
    torch.save({"symbols": _SHAPE.symbols, "weights": found}, folder / "torch.pt")
    return folder / "torch.pt"


def main() -> None:
    parser = options("startup", __doc__)
    parser.add_argument("--cold-rounds", type=int, default=3, help="runs of each command with nothing compiled")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each command with a warm cache")
    args = parser.parse_args()
    if args.quick:
        args.cold_rounds, args.rounds = 0, 1
    found = measure(args.cold_rounds, args.rounds)
    for name, taken in found["commands"].items():
        ratio = found["ratios"][OURS].get(name)
        beside = f"   {ratio['median']:.2f} times as long" if ratio else ""
        print(f"{taken['median']:8.2f} s   {name}{beside}")
    pictures.draw_if_possible(write_results("startup", args, {"judge": judge(), **found}))


if __name__ == "__main__":
    main()
