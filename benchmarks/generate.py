"""How fast is text generation, with carried state, for one stream and for a batch of 64?

Sampling at temperature 0.6 is included. First all contestants must draw the same likeliest text; then they take
turns. numlstm runs in float32 and with weights rounded to bf16 and int8. PyTorch runs as a Python loop of one-step
calls, and as a loop compiled by torch.jit.script, which also runs in bf16 and in float32 with oneDNN's bf16 math mode.
All contestants run with one thread and with all cores.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from . import conditions, pictures
from .contest import Rates, Worker, present, ratios, report, take_turns
from .measure import judge, options, spread, thread_counts, threads_in_words, write_results
from .precisions import FLOAT32, MATH_MODE, OURS, TORCH, WRITTEN, contestant, is_ours, precision_of
from .shapes import Shape

STREAMS = (1, 64)
SHAPES = ((128, 128), (512, 512))
# With initial parameters the likeliest text repeats one character, which would verify little. With parameters four
# times as large it varies, and rounding does not change it yet (with eight times it does).
SETTINGS = {"temperature": 0.6, "gain": 4.0}

_PROMPT, _VERIFIED_CHARACTERS = 8, 100


def contestants(shape: Shape, stack: contextlib.ExitStack, isa: str | None = None) -> dict[str, Worker]:
    """Start a worker for each contestant and number of threads."""
    task = "one_stream" if shape.batch_size == 1 else "streams"
    kinds = [(OURS, precision, "with_numlstm", task) for precision in WRITTEN]
    if "torch" in judge():
        kinds += [("torch", FLOAT32, "with_torch_writing", "eager")]
        kinds += [("torch.jit", precision, "with_torch_writing", "scripted") for precision in TORCH]
    workers = {}
    for program, precision, module, task in kinds:
        variables = {**conditions.variables(isa), **MATH_MODE.get(precision, {})}
        for threads in thread_counts():
            settings = {"shape": dataclasses.asdict(shape), "threads": threads, **SETTINGS}
            if precision != FLOAT32:
                settings["precision"] = precision
            name = f"{contestant(program, precision)}, {threads_in_words(threads)}"
            workers[name] = stack.enter_context(Worker(module, task, settings, variables))
    return workers


def verify(shape: Shape, workers: Mapping[str, Worker]) -> dict[str, Any]:
    """Compare the contestants' likeliest text of each stream; raises `RuntimeError` if two differ.

    With rounded weights numlstm must draw the text of the reference backend with the same weights. PyTorch in bf16
    rounds more than weights: how many characters agree on average is noted, and must be at least one.
    """
    symbols = shape.symbols * 2
    prompts = [symbols[start : start + _PROMPT] for start in range(shape.batch_size)]
    texts = {
        name: worker.ask("greedy", prompts=prompts, length=_VERIFIED_CHARACTERS) for name, worker in workers.items()
    }
    first, expected = next(iter(texts.items()))
    agreeing, rounded = [], {}
    references: dict[str, list[str]] = {}
    for name, found in texts.items():
        precision = _precision(name)
        if precision == FLOAT32:
            _compare(name, found, first, expected)
            agreeing.append(name)
        elif is_ours(name):
            if precision not in references:
                references[precision] = _by_reference(shape, precision, prompts)
            _compare(name, found, f"the reference in {precision}", references[precision])
            agreeing.append(name)
        else:
            rounded[name] = _common_length(name, found, expected)
    return {"text": expected[0], "streams": len(expected), "agreeing": agreeing, "characters_agreeing": rounded}


def _precision(name: str) -> str:
    return precision_of(name.partition(",")[0])


def _compare(name: str, found: list[str], other: str, expected: list[str]) -> None:
    if found != expected:
        stream = next(n for n, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
        pair = f"{found[stream]!r} from {name} and {expected[stream]!r} from {other}"
        raise RuntimeError(f"the likeliest text of stream {stream + 1} is {pair}; expected the same text")


def _by_reference(shape: Shape, precision: str, prompts: list[str]) -> list[str]:
    """Return the likeliest texts by the reference backend, with weights rounded to `precision`."""
    settings = {"shape": dataclasses.asdict(shape), "threads": 1, "device": "reference", **SETTINGS}
    with Worker("with_numlstm", "streams", {**settings, "precision": precision}) as worker:
        found: list[str] = worker.ask("greedy", prompts=prompts, length=_VERIFIED_CHARACTERS)
    return found


def _common_length(name: str, found: list[str], expected: list[str]) -> float:
    """Return how many characters agree at the start of a text, on average."""
    lengths = []
    for a, b in zip(found, expected, strict=True):
        lengths.append(next((n for n, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a)))
    if not sum(lengths) >= len(lengths):
        raise RuntimeError(f"the likeliest text from {name} is {found[0]!r}; expected it to begin like {expected[0]!r}")
    return round(sum(lengths) / len(lengths), 1)


def measure(shape: Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Verify and time one shape."""
    with contextlib.ExitStack() as stack:
        workers, absent = present(contestants(shape, stack, args.isa))
        verification = verify(shape, workers)
        rates = take_turns(workers, rounds=args.rounds, seconds=args.seconds)
        measured = report(workers, rates)
    others = {name: each for name, each in rates.items() if not name.startswith(OURS)}
    ours = [name for name in rates if name.startswith(OURS)]
    return {
        "name": f"{shape.name.split()[0]}, {shape.batch_size} stream{'s' * (shape.batch_size > 1)}",
        "shape": dataclasses.asdict(shape),
        "verification": verification,
        "contestants": measured,
        "absent": absent,
        "ratios": {name: ratios(name, {name: rates[name], **others}) for name in ours},
        "bar": _bar(others),
    }


def _bar(others: Rates) -> str | None:
    """Return the name of the fastest of the others, or None if there are none."""
    medians = {name: spread(each)["median"] for name, each in others.items()}
    return max(medians, key=medians.__getitem__, default=None)


def _show(result: dict[str, Any]) -> None:
    for name, measured in result["contestants"].items():
        beside = "".join(f"{each[name]['median']:8.2f}" for each in result["ratios"].values() if name in each)
        rate = measured["characters_per_second"]["median"]
        print(f"{result['name']:<18}{name:<31}{rate:12,.0f} characters/s{beside}", flush=True)
    for name, reason in result["absent"].items():
        print(f"{result['name']:<18}{name:<31}left out: {reason}")


def main() -> None:
    parser = options("generate", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="minimum seconds of a turn")
    conditions.add_options(parser)
    args = parser.parse_args()
    chosen = [Shape(layers, batch_size) for layers in SHAPES for batch_size in STREAMS]
    if args.quick:
        chosen, args.rounds, args.seconds = chosen[:2], 2, 0.1
    print("last columns: how many times as fast numlstm is, in each precision for each number of threads")
    results = []
    with conditions.neighbours(args.busy):
        for shape in chosen:
            results.append(measure(shape, args))
            _show(results[-1])
    found = {"judge": judge(), "results": results}
    pictures.draw_if_possible(write_results("generate", args, found, conditions.variant(args)))


if __name__ == "__main__":
    main()
