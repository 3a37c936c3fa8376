"""How fast is a whole training step beside PyTorch's?

A step is forward, loss, backward, clipping, Adam and whatever readies the weights for the next one, in float32 on
all cores. First all contestants must agree on losses and gradient norms of the first steps; then they take turns.
PyTorch runs twice: as it is, and with glibc told to keep freed memory ("tuned"), which makes it faster.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import platform
from typing import Any

from .contest import Worker, geometric_means, ratios, report, take_turns
from .measure import TUNED_MEMORY, cores, judge, options, write_results
from .shapes import Shape

SHAPES = (
    Shape((128,), 16, 50),
    Shape((128, 128), 32, 64),
    Shape((128, 128), 128, 40),
    Shape((256, 256), 64, 64),
    Shape((512, 512), 64, 64),
    Shape((512, 512, 512), 100, 100),
)
OURS = "numlstm"
SETTINGS = {"windows": 16, "lr": 5e-4, "clip": 0.05}  # at which the first steps are all clipped

_VERIFIED_STEPS = 5
_TOLERANCE = 1e-4  # relative, in float32


def contestants(shape: Shape, stack: contextlib.ExitStack) -> dict[str, Worker]:
    """Start a worker for each contestant."""
    settings = {"shape": dataclasses.asdict(shape), "threads": cores(), **SETTINGS}
    workers = {OURS: stack.enter_context(Worker("with_numlstm", "train", settings))}
    if "torch" in judge():
        workers["torch default"] = stack.enter_context(Worker("with_torch", "train", settings))
        if platform.libc_ver()[0] == "glibc":
            workers["torch tuned"] = stack.enter_context(Worker("with_torch", "train", settings, TUNED_MEMORY))
    return workers


def verify(workers: dict[str, Worker]) -> dict[str, Any]:
    """Return the first losses and norms, and by how much others differ; raises `RuntimeError` if by too much."""
    steps = {name: worker.ask("first_steps", steps=_VERIFIED_STEPS) for name, worker in workers.items()}
    worst = 0.0
    for name, theirs in steps.items():
        for step, (pair, judged) in enumerate(zip(theirs, steps[OURS], strict=True)):
            error = max(abs(a / b - 1) for a, b in zip(judged, pair, strict=True))
            if not error <= _TOLERANCE:
                raise RuntimeError(f"step {step + 1}: loss and norm are {judged}; expected {pair}, as {name} has them")
            worst = max(worst, error)
    losses, norms = zip(*steps[OURS], strict=True)
    others = [name for name in workers if name != OURS]
    return {"losses": losses, "gradient_norms": norms, "judges": others, "largest_relative_error": worst}


def measure(shape: Shape, rounds: int, seconds: float) -> dict[str, Any]:
    """Verify and time one shape."""
    with contextlib.ExitStack() as stack:
        workers = contestants(shape, stack)
        verification = verify(workers)
        rates = take_turns(workers, rounds=rounds, seconds=seconds)
        measured = report(workers, rates)
    for contestant in measured.values():
        rate = contestant["characters_per_second"]["median"]
        contestant["gflop_per_second"] = round(rate * shape.flop_per_character / 1e9, 1)
    return {
        "name": shape.name,
        "shape": dataclasses.asdict(shape),
        "flop_per_character": shape.flop_per_character,
        "verification": verification,
        "contestants": measured,
        "ratios": ratios(OURS, rates),
    }


def _show(result: dict[str, Any]) -> None:
    for name, contestant in result["contestants"].items():
        ratio = result["ratios"].get(name)
        beside = f"   numlstm is {ratio['median']:.2f} times as fast" if ratio else ""
        rate = contestant["characters_per_second"]["median"]
        gflops, memory = contestant["gflop_per_second"], contestant["peak_memory_mb"] or math.nan
        line = f"{rate:12,.0f} characters/s {gflops:7.1f} GFLOP/s {memory:7.0f} MB"
        print(f"{result['name']:<16}{name:<14}{line}{beside}", flush=True)


def main() -> None:
    parser = options("train", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn, at least")
    args = parser.parse_args()
    chosen: tuple[Shape, ...] = SHAPES
    if args.quick:
        chosen, args.rounds, args.seconds = SHAPES[:2], 3, 0.25
    results = []
    for shape in chosen:
        results.append(measure(shape, args.rounds, args.seconds))
        _show(results[-1])
    means = geometric_means([result["ratios"] for result in results])
    print("geometric mean of the ratios:", means or judge())
    write_results("train", args, {"judge": judge(), "results": results, "geometric_mean_ratios": means})


if __name__ == "__main__":
    main()
