"""How fast is one stream of text, the state carried from character to character, beside a PyTorch loop?

Sampling at temperature 0.6 is included. First both must draw the same likeliest text; then they take turns. PyTorch
runs with one thread and with all cores, and the faster of the two is the bar.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from .contest import Rates, Worker, ratios, report, take_turns
from .measure import cores, judge, options, spread, write_results
from .shapes import Shape

SHAPES = (Shape((128, 128)), Shape((512, 512)))
OURS = "numlstm"
# With parameters as they start, the likeliest text is one character over and over, which would verify little; with
# four times as large ones it varies, and rounding does not change it yet (with eight times it does).
SETTINGS = {"temperature": 0.6, "gain": 4.0}

_VERIFIED_CHARACTERS = 100


def contestants(shape: Shape, stack: contextlib.ExitStack) -> dict[str, Worker]:
    """Start a worker for each contestant."""
    settings = {"shape": dataclasses.asdict(shape), **SETTINGS}
    workers = {OURS: stack.enter_context(Worker("with_numlstm", "generate", {**settings, "threads": cores()}))}
    if "torch" in judge():
        for threads in sorted({1, cores()}):
            name = f"torch {threads} thread{'s' * (threads > 1)}"
            workers[name] = stack.enter_context(Worker("with_torch", "generate", {**settings, "threads": threads}))
    return workers


def verify(shape: Shape, workers: dict[str, Worker]) -> dict[str, Any]:
    """Return the likeliest text; raises `RuntimeError` if a contestant draws another."""
    question = {"prompt": shape.symbols[:8], "length": _VERIFIED_CHARACTERS}
    texts = {name: worker.ask("greedy", **question) for name, worker in workers.items()}
    for name, text in texts.items():
        if text != texts[OURS]:
            raise RuntimeError(f"the likeliest text is {texts[OURS]!r}; expected {text!r}, as {name} has it")
    return {"text": texts[OURS], "judges": [name for name in workers if name != OURS]}


def measure(shape: Shape, rounds: int, seconds: float) -> dict[str, Any]:
    """Verify and time one shape."""
    with contextlib.ExitStack() as stack:
        workers = contestants(shape, stack)
        verification = verify(shape, workers)
        rates = take_turns(workers, rounds=rounds, seconds=seconds)
        measured = report(workers, rates)
    return {
        "name": shape.name,
        "shape": dataclasses.asdict(shape),
        "verification": verification,
        "contestants": measured,
        "ratios": ratios(OURS, rates),
        "bar": _bar(rates),
    }


def _bar(rates: Rates) -> str | None:
    """Return the name of the fastest of the others."""
    medians = {name: spread(each)["median"] for name, each in rates.items() if name != OURS}
    return max(medians, key=medians.__getitem__, default=None)


def _show(result: dict[str, Any]) -> None:
    for name, contestant in result["contestants"].items():
        ratio = result["ratios"].get(name)
        beside = f"   numlstm is {ratio['median']:.2f} times as fast" if ratio else ""
        rate = contestant["characters_per_second"]["median"]
        print(f"{result['name']:<10}{name:<16}{rate:12,.0f} characters/s{beside}", flush=True)


def main() -> None:
    parser = options("generate", __doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn, at least")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds = 3, 0.25
    results = []
    for shape in SHAPES:
        results.append(measure(shape, args.rounds, args.seconds))
        _show(results[-1])
    write_results("generate", args, {"judge": judge(), "results": results})


if __name__ == "__main__":
    main()
