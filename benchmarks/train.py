"""How fast is a whole training step, compared with PyTorch's and with the processor's peak?

A step is forward, loss, backward, clipping, Adam and packing the weights for the next step. First all contestants must
agree on the losses and gradient norms of the first steps; then they take turns, together with the processor's
multiply-adds on registers alone (`peak.py`). PyTorch runs in float32 and under bf16 autocast, each by default and with
glibc set to keep freed memory ("tuned"), which makes it faster.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import platform
from typing import Any

from . import pictures
from .contest import Rates, Worker, divided, geometric_means, present, ratios, report, take_turns
from .measure import TUNED_MEMORY, cores, judge, options, spread, threads_in_words, write_results
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
BF16 = " bf16"  # in the name of a contestant: its matrix products are in bf16
PEAK = "peak"
SETTINGS = {"windows": 16, "lr": 5e-4, "clip": 0.05}  # with these settings all of the first steps are clipped

_VERIFIED_STEPS = 5
_TOLERANCES = {"": {"loss": 1e-4, "gradient_norm": 1e-4}, BF16: {"loss": 1e-2, "gradient_norm": 5e-2}}  # relative


def contestants(shape: Shape, threads: int, stack: contextlib.ExitStack) -> dict[str, Worker]:
    """Start a worker for each contestant."""
    started = {PEAK: Worker("peak", "fma", {"threads": threads})}
    for kind in ("", BF16):
        precision = kind.strip() or "float32"
        settings = {"shape": dataclasses.asdict(shape), "threads": threads, "precision": precision, **SETTINGS}
        started[OURS + kind] = Worker("with_numlstm", "train", settings)
        if "torch" in judge():
            started[f"torch{kind} default"] = Worker("with_torch", "train", settings)
            if platform.libc_ver()[0] == "glibc":
                started[f"torch{kind} tuned"] = Worker("with_torch", "train", settings, TUNED_MEMORY)
    return {name: stack.enter_context(worker) for name, worker in started.items()}


def verify(workers: dict[str, Worker]) -> dict[str, Any]:
    """Return the first losses and norms and the others' relative errors. Raises `RuntimeError` if too large."""
    asked = {name: worker for name, worker in workers.items() if name != PEAK}
    steps = {name: worker.ask("first_steps", steps=_VERIFIED_STEPS) for name, worker in asked.items()}
    errors = {name: _errors(name, theirs, steps[OURS]) for name, theirs in steps.items() if name != OURS}
    losses, norms = zip(*steps[OURS], strict=True)
    return {"losses": losses, "gradient_norms": norms, "largest_relative_errors": errors}


def _errors(name: str, found: list[list[float]], expected: list[list[float]]) -> dict[str, float]:
    worst = {}
    for place, (what, allowed) in enumerate(_tolerances(name).items()):
        relative = [abs(a[place] / b[place] - 1) for a, b in zip(found, expected, strict=True)]
        for step, error in enumerate(relative):
            if not error <= allowed:
                values = f"{found[step][place]} from {name} and {expected[step][place]} from {OURS}"
                raise RuntimeError(f"step {step + 1}: {what} is {values}; expected them to agree to {allowed:g}")
        worst[what] = max(relative)
    return worst


def _tolerances(name: str) -> dict[str, float]:
    return _TOLERANCES[BF16 if BF16 in name else ""]


def measure(shape: Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Verify and time one shape."""
    with contextlib.ExitStack() as stack:
        workers, absent = present(contestants(shape, args.threads, stack))
        verification = verify(workers)
        rates = take_turns(workers, rounds=args.rounds, seconds=args.seconds)
        measured = report({name: worker for name, worker in workers.items() if name != PEAK}, rates)
    peak = rates.pop(PEAK)
    for name, contestant in measured.items():
        rate = contestant["characters_per_second"]["median"]
        contestant["gflop_per_second"] = round(rate * shape.flop_per_character / 1e9, 1)
        if BF16 not in name:
            useful = [each * shape.flop_per_character for each in rates[name]]
            contestant["share_of_peak"] = spread(divided(useful, peak))
    return {
        "name": shape.name,
        "shape": dataclasses.asdict(shape),
        "flop_per_character": shape.flop_per_character,
        "verification": verification,
        "peak_gflop_per_second": spread([each / 1e9 for each in peak]),
        "contestants": measured,
        "absent": absent,
        "ratios": ratios(OURS, rates),
        "ratios_bf16": _ratios_bf16(rates),
    }


def _ratios_bf16(rates: Rates) -> dict[str, Any]:
    """Return numlstm's speed in bf16 relative to each other bf16 contestant; empty if numlstm cannot run bf16 here."""
    return ratios(OURS + BF16, {n: r for n, r in rates.items() if BF16 in n}) if OURS + BF16 in rates else {}


def _show(result: dict[str, Any]) -> None:
    for name, contestant in result["contestants"].items():
        ratio = result["ratios_bf16" if BF16 in name and result["ratios_bf16"] else "ratios"].get(name)
        beside = f"   {ratio['median']:.2f}" if ratio else ""
        rate = contestant["characters_per_second"]["median"]
        gflops, memory = contestant["gflop_per_second"], contestant["peak_memory_mb"] or math.nan
        share = f"{contestant['share_of_peak']['median']:6.1%} of peak" if "share_of_peak" in contestant else " " * 14
        line = f"{rate:11,.0f} characters/s {gflops:7.1f} GFLOP/s {share} {memory:6.0f} MB"
        print(f"{result['name']:<17}{name:<19}{line}{beside}", flush=True)
    for name, reason in result["absent"].items():
        print(f"{result['name']:<17}{name:<19}left out: {reason}")


def main() -> None:
    parser = options("train", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="minimum seconds of a turn")
    parser.add_argument("--threads", type=int, default=cores(), help="threads of each contestant (default: all cores)")
    args = parser.parse_args()
    chosen: tuple[Shape, ...] = SHAPES
    if args.quick:
        chosen, args.rounds, args.seconds = SHAPES[:1], 2, 0.1
    print("last column: how many times as fast numlstm is")
    results = []
    for shape in chosen:
        results.append(measure(shape, args))
        _show(results[-1])
    means = {kind: geometric_means([result[kind] for result in results]) for kind in ("ratios", "ratios_bf16")}
    if means["ratios"]:
        print("geometric means of the ratios:", means)
    if "absent" in judge():
        print(judge()["absent"])
    found = {"judge": judge(), "tolerances": _TOLERANCES, "results": results, "geometric_means": means}
    variant = "" if args.threads == cores() else "-" + threads_in_words(args.threads).replace(" ", "-")
    pictures.draw_if_possible(write_results("train", args, found, variant))


if __name__ == "__main__":
    main()
