"""How fast is text generation, with carried state, for one stream and for a batch of 64?

Sampling at temperature 0.6 is included. First all contestants must draw the same likeliest text; then they take
turns. PyTorch runs as a Python loop of one-step calls, and as a loop compiled by torch.jit.script. All contestants run
with one thread and with all cores.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from . import pictures
from .contest import Rates, Worker, ratios, report, take_turns
from .measure import judge, options, spread, thread_counts, threads_in_words, write_results
from .shapes import Shape

STREAMS = (1, 64)
SHAPES = ((128, 128), (512, 512))
# With initial parameters the likeliest text repeats one character, which would verify little. With parameters four
# times as large it varies, and rounding does not change it yet (with eight times it does).
SETTINGS = {"temperature": 0.6, "gain": 4.0}
OURS = "numlstm"

_PROMPT, _VERIFIED_CHARACTERS = 8, 100


def contestants(shape: Shape, stack: contextlib.ExitStack) -> dict[str, Worker]:
    """Start a worker for each contestant."""
    kinds = {OURS: ("with_numlstm", "one_stream" if shape.batch_size == 1 else "streams")}
    if "torch" in judge():
        kinds |= {"torch": ("with_torch", "eager"), "torch.jit": ("with_torch", "scripted")}
    workers = {}
    for kind, (module, task) in kinds.items():
        for threads in thread_counts():
            settings = {"shape": dataclasses.asdict(shape), "threads": threads, **SETTINGS}
            name = f"{kind}, {threads_in_words(threads)}"
            workers[name] = stack.enter_context(Worker(module, task, settings))
    return workers


def verify(shape: Shape, workers: dict[str, Worker]) -> dict[str, Any]:
    """Compare the contestants' likeliest text of each stream; raises `RuntimeError` if two differ."""
    symbols = shape.symbols * 2
    prompts = [symbols[start : start + _PROMPT] for start in range(shape.batch_size)]
    texts = {
        name: worker.ask("greedy", prompts=prompts, length=_VERIFIED_CHARACTERS) for name, worker in workers.items()
    }
    (first, expected), *others = texts.items()
    for name, found in others:
        if found != expected:
            stream = next(n for n, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
            pair = f"{found[stream]!r} from {name} and {expected[stream]!r} from {first}"
            raise RuntimeError(f"the likeliest text of stream {stream + 1} is {pair}; expected the same text")
    return {"text": expected[0], "streams": len(expected), "agreeing": list(texts)}


def measure(shape: Shape, rounds: int, seconds: float) -> dict[str, Any]:
    """Verify and time one shape."""
    with contextlib.ExitStack() as stack:
        workers = contestants(shape, stack)
        verification = verify(shape, workers)
        rates = take_turns(workers, rounds=rounds, seconds=seconds)
        measured = report(workers, rates)
    others = {name: each for name, each in rates.items() if not name.startswith(OURS)}
    ours = [name for name in rates if name.startswith(OURS)]
    return {
        "name": f"{shape.name.split()[0]}, {shape.batch_size} stream{'s' * (shape.batch_size > 1)}",
        "shape": dataclasses.asdict(shape),
        "verification": verification,
        "contestants": measured,
        "ratios": {name: ratios(name, {name: rates[name], **others}) for name in ours},
        "bar": _bar(others),
    }


def _bar(others: Rates) -> str | None:
    """Return the name of the fastest of the others, or None if there are none."""
    medians = {name: spread(each)["median"] for name, each in others.items()}
    return max(medians, key=medians.__getitem__, default=None)


def _show(result: dict[str, Any]) -> None:
    for name, contestant in result["contestants"].items():
        beside = "".join(f"{each[name]['median']:8.2f}" for each in result["ratios"].values() if name in each)
        rate = contestant["characters_per_second"]["median"]
        print(f"{result['name']:<20}{name:<22}{rate:12,.0f} characters/s{beside}", flush=True)


def main() -> None:
    parser = options("generate", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="minimum seconds of a turn")
    args = parser.parse_args()
    chosen = [Shape(layers, batch_size) for layers in SHAPES for batch_size in STREAMS]
    if args.quick:
        chosen, args.rounds, args.seconds = chosen[:2], 2, 0.1
    print("last columns: how many times as fast numlstm is, for each of its thread counts")
    results = []
    for shape in chosen:
        results.append(measure(shape, args.rounds, args.seconds))
        _show(results[-1])
    pictures.draw_if_possible(write_results("generate", args, {"judge": judge(), "results": results}))


if __name__ == "__main__":
    main()
