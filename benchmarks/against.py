"""Is this checkout as fast as another one, such as the previous commit? `python -m benchmarks.against ../before`

Times training steps, generation and whole commands of both checkouts in turns. The ratios say how many times as fast
this checkout is. The losses of the first steps and the likeliest texts are compared first. The other checkout needs
`benchmarks/with_numlstm.py` with the same tasks. Both checkouts' kernels are compiled and cached before timing starts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import generate, train
from .contest import Worker, divided, take_turns
from .measure import ROOT, cores, environment, options, spread, write_results
from .shapes import Shape

THIS, OTHER = "this", "other"
TRAINED = (Shape((128, 128), 32, 64), Shape((512, 512), 64, 64))
WRITTEN = (Shape((128, 128), 1), Shape((128, 128), 64))
_STEPS = 3
_COMMANDS = {
    "numlstm --help": ["--help"],
    "numlstm train --help": ["train", "--help"],
    "numlstm gen shakespeare --length 200": ["gen", "shakespeare", "--length", "200", "--seed", "1"],
}


def steps(shape: Shape, checkouts: dict[str, Path], rounds: int, seconds: float) -> dict[str, Any]:
    """Time training steps of one shape; raises `RuntimeError` if the losses differ by more than rounding."""
    settings = {"shape": dataclasses.asdict(shape), "threads": cores(), "precision": "float32", **train.SETTINGS}
    with contextlib.ExitStack() as stack:
        workers = _workers("train", settings, checkouts, stack)
        losses = {name: worker.ask("first_steps", steps=_STEPS) for name, worker in workers.items()}
        for (ours, _), (theirs, _) in zip(losses[THIS], losses[OTHER], strict=True):
            if abs(ours - theirs) > 1e-4 * abs(theirs):
                raise RuntimeError(f"the losses of {shape.name} are {losses}; expected the same to rounding")
        rates = take_turns(workers, rounds=rounds, seconds=seconds)
    verified = {"losses": losses[THIS], "same_bits": losses[THIS] == losses[OTHER]}
    return {"name": f"train {shape.name}", "verification": verified, **_compared(rates, "characters/s")}


def texts(shape: Shape, checkouts: dict[str, Path], rounds: int, seconds: float) -> dict[str, Any]:
    """Time generation with one shape; raises `RuntimeError` if the likeliest texts differ."""
    settings = {"shape": dataclasses.asdict(shape), "threads": cores(), **generate.SETTINGS}
    with contextlib.ExitStack() as stack:
        task = "one_stream" if shape.batch_size == 1 else "streams"
        workers = _workers(task, settings, checkouts, stack)
        verified = generate.verify(shape, workers)
        rates = take_turns(workers, rounds=rounds, seconds=seconds)
    name = f"generate {shape.name.split()[0]}, {shape.batch_size} side by side"
    return {"name": name, "verification": verified, **_compared(rates, "characters/s")}


def _workers(task: str, settings: Any, checkouts: dict[str, Path], stack: contextlib.ExitStack) -> dict[str, Worker]:
    return {
        name: stack.enter_context(Worker("with_numlstm", task, settings, checkout=path))
        for name, path in checkouts.items()
    }


def command(name: str, checkouts: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Time a whole command, including startup."""
    rates: dict[str, list[float]] = {each: [] for each in checkouts}
    for turn in range(rounds + 1):  # the first turn fills the caches
        for each, path in checkouts.items():
            started = time.perf_counter()
            _run(_COMMANDS[name], path)
            if turn:
                rates[each].append(1 / (time.perf_counter() - started))
    return {"name": name, **_compared(rates, "runs/s")}


def _run(arguments: list[str], checkout: Path) -> None:
    words = [sys.executable, "-m", "numlstm", *arguments]
    done = subprocess.run(
        words, cwd=checkout, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode} from {' '.join(words)} in {checkout}:\n{done.stderr[-2000:]}")


def _compared(rates: dict[str, list[float]], unit: str) -> dict[str, Any]:
    return {
        "unit": unit,
        **{name: spread(each) for name, each in rates.items()},
        "ratio": spread(divided(rates[THIS], rates[OTHER])),
    }


def _commit(checkout: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = options("against", __doc__)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each checkout")
    parser.add_argument("--seconds", type=float, default=1.0, help="minimum seconds of a turn")
    args = parser.parse_args()
    checkouts = {THIS: ROOT, OTHER: args.other.resolve()}
    args.other = args.other.name
    shapes = TRAINED[:1] if args.quick else TRAINED
    if args.quick:
        args.rounds, args.seconds = 2, 0.1
    results = []
    for measured in (
        *((lambda shape=shape: steps(shape, checkouts, args.rounds, args.seconds)) for shape in shapes),
        *((lambda shape=shape: texts(shape, checkouts, args.rounds, args.seconds)) for shape in WRITTEN),
        *((lambda name=name: command(name, checkouts, args.rounds)) for name in _COMMANDS),
    ):
        results.append(found := measured())
        low, high = found["ratio"]["quartiles"]
        ours, theirs = found[THIS]["median"], found[OTHER]["median"]
        print(
            f"{found['name']:<40}{ours:14,.2f} {theirs:14,.2f} {found['unit']:<13}"
            f"{found['ratio']['median']:6.3f}  ({low:.3f} to {high:.3f})",
            flush=True,
        )
    write_results("against", args, {"other_commit": _commit(checkouts[OTHER]), "results": results})


if __name__ == "__main__":
    main()
