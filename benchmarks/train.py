"""How fast is a whole training step, compared with PyTorch's and with the processor's peak?

A step is forward, loss, backward, clipping, Adam and packing the weights for the next step. First all contestants must
agree on the first steps, and on every gradient (`agreement.py`); then they take turns, together with the processor's
multiply-adds on registers alone (`peak.py`, `tile_peak.py`). numlstm runs in each of its precisions. PyTorch runs in
float32, under bf16 autocast, and in float32 with oneDNN's bf16 math mode, each by default and with glibc set to keep
freed memory ("tuned"), which makes it faster.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import platform
from typing import Any

from . import conditions, pictures
from .agreement import verify
from .contest import Rates, Worker, divided, geometric_means, present, ratios, report, take_turns
from .measure import TUNED_MEMORY, cores, judge, options, spread, threads_in_words, write_results
from .precisions import (
    FLOAT32,
    MATH_MODE,
    OURS,
    TOLERANCES,
    TORCH,
    TRAINED,
    contestant,
    is_ours,
    ours_in,
    precision_of,
    ratios_key,
)
from .shapes import Shape

SHAPES = (
    Shape((128,), 16, 50),
    Shape((128, 128), 32, 64),
    Shape((128, 128), 128, 40),
    Shape((256, 256), 64, 64),
    Shape((512, 512), 64, 64),
    Shape((512, 512, 512), 100, 100),
)
PEAK, TILE_PEAK = "peak", "peak of tiles"
SETTINGS = {"windows": 16, "lr": 5e-4, "clip": 0.05}  # with these settings all of the first steps are clipped


def contestants(shape: Shape, threads: int, stack: contextlib.ExitStack, isa: str | None = None) -> dict[str, Worker]:
    """Start a worker for each contestant, and for the peaks."""
    limit = conditions.variables(isa)
    started = {
        PEAK: Worker("peak", "fma", {"threads": threads}, limit),
        TILE_PEAK: Worker("tile_peak", "tiles", {"threads": threads}, limit),
    }
    settings = {"shape": dataclasses.asdict(shape), "threads": threads, **SETTINGS}
    for precision in TRAINED:
        own = {**settings, "precision": precision}
        started[contestant(OURS, precision)] = Worker("with_numlstm", "train", own, limit)
    for precision in TORCH if "torch" in judge() else ():
        own, mode = {**settings, "precision": precision}, {**limit, **MATH_MODE.get(precision, {})}
        started[contestant("torch", precision, "default")] = Worker("with_torch", "train", own, mode)
        if platform.libc_ver()[0] == "glibc":
            started[contestant("torch", precision, "tuned")] = Worker(
                "with_torch", "train", own, {**mode, **TUNED_MEMORY}
            )
    return {name: stack.enter_context(worker) for name, worker in started.items()}


def exact(shape: Shape) -> Worker:
    """Start a worker that computes gradients in float64: PyTorch, or the reference backend without it."""
    module = "with_torch" if "torch" in judge() else "with_numlstm"
    return Worker(module, "exact", {"shape": dataclasses.asdict(shape), "windows": SETTINGS["windows"]})


def measure(shape: Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Verify and time one shape."""
    with contextlib.ExitStack() as stack:
        workers, absent = present(contestants(shape, args.threads, stack, args.isa))
        timed = {name: worker for name, worker in workers.items() if name not in (PEAK, TILE_PEAK)}
        with exact(shape) as judge_:
            verification = verify(timed, judge_)
        rates = take_turns(workers, rounds=args.rounds, seconds=args.seconds)
        measured = report(timed, rates)
    peaks = {FLOAT32: rates.pop(PEAK), TILE_PEAK: rates.pop(TILE_PEAK, None)}
    for name, each in measured.items():
        useful = [rate * shape.flop_per_character for rate in rates[name]]
        each["gflop_per_second"] = round(spread(useful)["median"] / 1e9, 1)
        if precision_of(name) == FLOAT32:
            each["share_of_peak"] = spread(divided(useful, peaks[FLOAT32]))
        elif peaks[TILE_PEAK]:
            each["share_of_tile_peak"] = spread(divided(useful, peaks[TILE_PEAK]))
    return {
        "name": shape.name,
        "shape": dataclasses.asdict(shape),
        "flop_per_character": shape.flop_per_character,
        "verification": verification,
        "peak_gflop_per_second": _gflops(peaks[FLOAT32]),
        "tile_peak_gflop_per_second": _gflops(peaks[TILE_PEAK]),
        "contestants": measured,
        "absent": absent,
        **_all_ratios(rates),
    }


def _gflops(rates: list[float] | None) -> dict[str, Any] | None:
    return spread([each / 1e9 for each in rates]) if rates else None


def _all_ratios(rates: Rates) -> dict[str, Any]:
    """Return the ratios of numlstm in each precision; empty for a precision that it cannot run here.

    In float32 they are to all other contestants, in other precisions to PyTorch's.
    """
    theirs = {name: each for name, each in rates.items() if not is_ours(name)}
    found: dict[str, Any] = {ratios_key(precision): {} for precision in TRAINED}
    for precision, name in ours_in(rates).items():
        others = rates if precision == FLOAT32 else {name: rates[name], **theirs}
        found[ratios_key(precision)] = ratios(name, others)
    return found


def _show(result: dict[str, Any]) -> None:
    keys = [ratios_key(precision) for precision in ours_in(result["contestants"])]
    for name, each in result["contestants"].items():
        beside = "".join(f"{result[key][name]['median']:7.2f}" for key in keys if name in result[key])
        rate, memory = each["characters_per_second"]["median"], each["peak_memory_mb"] or math.nan
        share = f"{each['share_of_peak']['median']:6.1%} of peak" if "share_of_peak" in each else " " * 14
        if "share_of_tile_peak" in each:
            share = f"{each['share_of_tile_peak']['median']:5.1%} of tiles"
        line = f"{rate:11,.0f} characters/s {each['gflop_per_second']:7.1f} GFLOP/s {share} {memory:6.0f} MB"
        print(f"{result['name']:<17}{name:<24}{line}{beside}", flush=True)
    for name, reason in result["absent"].items():
        print(f"{result['name']:<17}{name:<24}left out: {reason}")


def main() -> None:
    parser = options("train", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="minimum seconds of a turn")
    parser.add_argument("--threads", type=int, default=cores(), help="threads of each contestant (default: all cores)")
    conditions.add_options(parser)
    args = parser.parse_args()
    chosen: tuple[Shape, ...] = SHAPES
    if args.quick:
        chosen, args.rounds, args.seconds = SHAPES[:1], 2, 0.1
    print("last columns: how many times as fast numlstm is, in each of its precisions")
    results = []
    with conditions.neighbours(args.busy):
        for shape in chosen:
            results.append(measure(shape, args))
            _show(results[-1])
    means = {key: geometric_means([result[key] for result in results]) for key in map(ratios_key, TRAINED)}
    if means["ratios"]:
        print("geometric means of the ratios:", means)
    if "absent" in judge():
        print(judge()["absent"])
    found = {"judge": judge(), "tolerances": TOLERANCES, "results": results, "geometric_means": means}
    variant = "" if args.threads == cores() else "-" + threads_in_words(args.threads).replace(" ", "-")
    variant += conditions.variant(args)
    pictures.draw_if_possible(write_results("train", args, found, variant))


if __name__ == "__main__":
    main()
