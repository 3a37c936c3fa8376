"""Estimate the speed of a training step on a GPU, on paper: nothing here is measured, and no GPU is needed.

Counts the operations, the bytes moved and the launches of each kernel of a step, and divides by NVIDIA's figures for a
card. `limit` uses these figures in full, so no kernel can be faster; `expected` uses the shares that kernels usually
reach. The time of the recurrence is the estimate of `numlstm/backends/gpu/path_choice.py` for the path it would choose.
Prints the tables of `docs/gpu.md`:

    python -m benchmarks.gpu_on_paper [--write]
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator, Sequence

from numlstm.backends.gpu import path_choice

from .measure import ROOT
from .shapes import Shape
from .train import SHAPES

DOCUMENT = ROOT / "docs" / "gpu.md"


@dataclasses.dataclass(frozen=True)
class Card:
    """A GPU by its maker's figures: bytes and operations per second, and `shared` memory per block in bytes."""

    name: str
    multiprocessors: int
    shared: int
    memory: float
    float32: float
    tf32: float  # of tensor cores, dense

    @property
    def device(self) -> path_choice.Device:
        """The properties that the choice of a path depends on."""
        return path_choice.Device(self.multiprocessors, self.shared)


CARDS = (
    Card("H100 SXM", 132, 227 * 1024, 3.35e12, 67e12, 494e12),
    # Clocks, and with them the operations, depend on the laptop: from 11 to 15 TFLOP/s; TF32 is about twice that.
    Card("RTX 4060 Laptop", 24, 99 * 1024, 0.256e12, 12e12, 24e12),
)
FLOAT = 4  # bytes
MEMORY_SHARE, PRODUCT_SHARE = 0.7, 0.5  # expected shares of the maker's figures, for kernels and for cuBLAS
DEVICE_LAUNCH = 2e-6  # minimum seconds from the end of a kernel to the next one's first instruction
HOST_LAUNCH = path_choice.LAUNCH  # seconds in Python and the driver per launch


@dataclasses.dataclass(frozen=True)
class Work:
    """One kernel of a training step, or several of a kind.

    `flop` counts the operations of matrix products, `moved` the minimum bytes of memory traffic. `blocks` is set only
    if there are too few to fill a card. A recurrence has its layer's `units` and the batch's `steps` and `rows`.
    """

    name: str
    flop: int = 0
    moved: int = 0
    launches: int = 1
    blocks: int = 0
    units: int = 0
    steps: int = 0
    rows: int = 0


def works(shape: Shape) -> Iterator[Work]:
    """Yield the kernels of a shape's training step, with Adam and float32."""
    B, V, N = shape.batch_size, shape.vocab_size, shape.seq_len * shape.batch_size
    yield Work("batch: gathered, gradients set to 0", moved=FLOAT * (3 * N + parameters(shape)), launches=3)
    below = (0, *shape.layers)
    for D, H in zip(below, shape.layers, strict=False):
        recurrence = {"units": H, "steps": shape.seq_len, "rows": B}
        step = 2 * N * H * 4 * H
        if D:
            yield Work("input product", 2 * N * D * 4 * H, FLOAT * (N * D + D * 4 * H + N * 4 * H))
        # reads the input's part of the gates (for tokens, a few rows of W_x); writes gates, c and h
        yield Work("recurrence, forward", step, FLOAT * N * H * (10 if D else 6), 1, **recurrence)
        # reads gates, c and dh; writes the gradient of the gates
        yield Work("recurrence, backward", step, FLOAT * N * H * 10, 1, **recurrence)
        yield Work("bias gradient", moved=FLOAT * N * 4 * H, blocks=-(-4 * H // 32))
        yield Work("weight gradient, W_h", step, FLOAT * (N * 5 * H + 4 * H * H))
        if D:
            yield Work("weight gradient, W_x", 2 * N * D * 4 * H, FLOAT * (N * D + N * 4 * H + D * 4 * H))
            yield Work("input gradient", 2 * N * D * 4 * H, FLOAT * (N * 4 * H + D * 4 * H + N * D))
        else:
            yield Work("weight gradient, rows of W_x", moved=FLOAT * (N * 4 * H + 2 * V * 4 * H))
        yield Work("packing, last state", moved=FLOAT * (12 * H * H + 4 * B * H), launches=3)
    H = shape.layers[-1]
    yield Work("output product and bias", 2 * N * H * V, FLOAT * (N * H + H * V + 3 * N * V), 2)
    yield Work("loss", moved=FLOAT * 2 * N * V, launches=2)
    yield Work("output gradients", 4 * N * H * V, FLOAT * (2 * N * H + 3 * N * V + 2 * H * V), 4)
    yield Work("norm, clipping, Adam", moved=FLOAT * 8 * parameters(shape), launches=4)


def parameters(shape: Shape) -> int:
    """Return the number of parameters of a shape."""
    below = (shape.vocab_size, *shape.layers)
    lstm = sum(4 * H * (D + H + 1) for D, H in zip(below, shape.layers, strict=False))
    return lstm + (shape.layers[-1] + 1) * shape.vocab_size


def path_of(work: Work, card: Card) -> str:
    """Return the path that a recurrence takes on a card: "steps" or "resident"."""
    return "steps" if path_choice.choose(work.units, work.rows, FLOAT, card.device) is None else "resident"


def launches(work: Work, card: Card) -> int:
    """Return the number of launches; the "steps" path launches a product and a cell kernel per time step."""
    return 2 * work.steps if work.units and path_of(work, card) == "steps" else work.launches


def limit(work: Work, card: Card, products: str) -> float:
    """Return the minimum seconds for the work by the maker's figures."""
    per_second = card.float32 if work.units else getattr(card, products)  # the recurrence stays in float32
    return max(work.flop / per_second, work.moved / card.memory)


def expected(work: Work, card: Card, products: str) -> float:
    """Return the expected seconds for the work on the device."""
    start = launches(work, card) * DEVICE_LAUNCH
    if work.units:
        return start + work.steps * step_seconds(work, card)
    memory = work.moved / (MEMORY_SHARE * card.memory)
    if work.blocks:
        memory = max(memory, work.moved / (work.blocks * path_choice.L2_BYTES))
    return start + max(work.flop / (PRODUCT_SHARE * getattr(card, products)), memory)


def step_seconds(work: Work, card: Card) -> float:
    """Return the seconds `path_choice` expects for one step of a recurrence, without launches, counted separately."""
    plan = path_choice.choose(work.units, work.rows, FLOAT, card.device)
    if plan is not None:
        return path_choice.resident_seconds(work.units, work.rows, FLOAT, plan, card.device)
    return path_choice.steps_seconds(work.units, work.rows, FLOAT, card.device) - 2 * path_choice.LAUNCH


@dataclasses.dataclass(frozen=True)
class Step:
    """Estimates for a whole training step: characters per second, and seconds on the device and on the host."""

    limit: float
    expected: float
    device: float
    host: float
    launches: int
    paths: str


def step(shape: Shape, card: Card, products: str = "float32") -> Step:
    """Return the estimates. The host queues launches while the device works, so the slower of the two counts."""
    all_works, characters = list(works(shape)), shape.batch_size * shape.seq_len
    count = sum(launches(work, card) for work in all_works)
    device = sum(expected(work, card, products) for work in all_works)
    host = count * HOST_LAUNCH
    chosen = sorted({path_of(work, card) for work in all_works if work.units})
    return Step(
        limit=characters / sum(limit(work, card, products) for work in all_works),
        expected=characters / max(device, host),
        device=device,
        host=host,
        launches=count,
        paths=" and ".join(chosen),
    )


def kernels_table(shape: Shape, cards: Sequence[Card] = CARDS) -> str:
    """Return the kernels of a shape's step as a Markdown table: work, and microseconds on each card."""
    heads = ["kernel", "launches", "MFLOP", "MB", *(f"{card.name}: limit, expected, µs" for card in cards)]
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for work in together(list(works(shape))):
        name, same = work[0].name, len(work)
        row = [name + (f" ({same} layers)" if same > 1 else "")]
        row.append(" / ".join(sorted({str(sum(launches(each, card) for each in work)) for card in cards}, key=int)))
        row += [_figure(sum(each.flop for each in work) / 1e6), _figure(sum(each.moved for each in work) / 1e6)]
        for card in cards:
            both = (sum(how(each, card, "float32") for each in work) for how in (limit, expected))
            row.append(", ".join(_figure(1e6 * seconds) for seconds in both))
        rows.append(row)
    return _markdown(rows)


def together(all_works: Sequence[Work]) -> list[list[Work]]:
    """Group the works by name, in order of first appearance."""
    names = dict.fromkeys(work.name for work in all_works)
    return [[work for work in all_works if work.name == name] for name in names]


def shapes_table(card: Card, shapes: Sequence[Shape] = SHAPES) -> str:
    """Return the estimates for whole training steps on a card as a Markdown table."""
    rows = [
        [
            "layers x size, batch, length",
            "path",
            "launches",
            "device, ms",
            "host, ms",
            "limit, characters/s",
            "expected, characters/s",
            "the same, products in tf32",
        ],
        ["---", "---", *["---:"] * 6],
    ]
    for shape in shapes:
        found, faster = step(shape, card), step(shape, card, "tf32")
        name = f"{len(shape.layers)}x{shape.layers[0]}, {shape.batch_size}, {shape.seq_len}"
        milliseconds = (_figure(1e3 * found.device), _figure(1e3 * found.host))
        rates = (_rate(found.limit), _rate(found.expected), _rate(faster.expected))
        rows.append([name, found.paths, str(found.launches), *milliseconds, *rates])
    return _markdown(rows)


def _figure(value: float) -> str:
    """Format a number to two digits; more would suggest precision that the estimates do not have."""
    if not value:
        return "-"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _rate(value: float) -> str:
    return f"{value / 1e6:.2g} M" if value < 1e8 else f"{float(f'{value:.2g}') / 1e6:,.0f} M"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def tables() -> dict[str, str]:
    """Return the tables of `docs/gpu.md` by name."""
    found = {f"kernels of {shape.name}": kernels_table(shape) for shape in (SHAPES[1], SHAPES[4])}
    return found | {f"steps on {card.name}": shapes_table(card) for card in CARDS}


def renewed(document: str) -> str:
    """Return a document with the table after each mark `<!-- on paper: NAME -->` updated."""
    for name, table in tables().items():
        mark = f"<!-- on paper: {name} -->\n"
        pattern = re.escape(mark) + r"(?:\|[^\n]*\n)*"
        document = re.sub(pattern, lambda _, new=f"{mark}{table}\n": new, document)
    return document


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_on_paper", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="update the tables in docs/gpu.md")
    if parser.parse_args().write:
        DOCUMENT.write_text(renewed(DOCUMENT.read_text("utf-8")), "utf-8")
        return
    for name, table in tables().items():
        print(f"<!-- on paper: {name} -->\n{table}\n")


if __name__ == "__main__":
    main()
