"""Draw the rooms of the package and the imports between them: `python docs/pictures/rooms.py`.

The arrows are read from the source. An arrow that a longer path already implies is left out. Each room is in a row
below all rooms that import it.
"""

from __future__ import annotations

import argparse
import ast
import itertools
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "numlstm"

# The content of each room in a few words. Only these are drawn, without `_version` and `__main__`.
ROOMS = {
    "cli": "the commands",
    "serve": "HTTP API and web page",
    "training": "the loop, optimizers, resume",
    "analysis": "scores, cells, gradient checks",
    "corpus_tools": "documents and chats to text",
    "monitoring": "logs, plots, advice",
    "model": "what people import",
    "generation": "sampling, stops, beam search",
    "network": "layers, weights file",
    "backends": "reference, cpu, gpu",
    "text": "sources, vocabulary, batches",
    "settings": "names, defaults, ranges",
    "storage": "files, whole or not at all",
    "errors": "the tree of errors",
}

Arrows = dict[str, set[str]]
Point = tuple[float, float]

WIDTH, HEIGHT = 190, 44  # size of a box
ACROSS, DOWN, MARGIN = 214, 74, 24  # spacing of boxes and rows, and the outer margin

STYLE = """
    text { font-family: system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; text-anchor: middle }
    .paper { fill: #fbfaf6 } .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.2 }
    .name { font-size: 14px; font-weight: 600; fill: #24292f } .words { font-size: 11px; fill: #57606a }
    .arrow { fill: none; stroke: #8b949e; stroke-width: 1.4 } .head { fill: #8b949e }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #161b22 } .box { fill: #21262d; stroke: #8b949e } .name { fill: #e6edf3 } .words { fill: #adb5bd }
    }
"""


def imported(path: Path, package: tuple[str, ...]) -> Iterator[str]:
    """Yield the rooms that a file of the package imports from."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = package[: len(package) - node.level + 1]
        full = [*base, *(node.module or "").split(".")] if node.module else list(base)
        names = [[*full, alias.name] for alias in node.names]
        yield from (parts[0] for parts in names if parts[0] in ROOMS)


def arrows() -> Arrows:
    """Return the rooms that each room imports."""
    found: Arrows = {room: set() for room in ROOMS}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE)
        room = place.parts[0].removesuffix(".py")
        if room in ROOMS:
            found[room] |= {*imported(path, place.parts[:-1])} - {room}
    return found


def reduced(found: Arrows) -> Arrows:
    """Remove the arrows that a longer path implies (transitive reduction)."""

    def reached(room: str) -> set[str]:
        return found[room].union(*map(reached, found[room])) if found[room] else set()

    return {room: {end for end in ends if not any(end in reached(via) for via in ends)} for room, ends in found.items()}


def rows_of(found: Arrows) -> list[list[str]]:
    """Put each room in a row: those that nothing imports on top, all others below every room that imports them."""

    def depth(room: str) -> int:
        return 1 + max((depth(start) for start in found if room in found[start]), default=-1)

    depths = {room: depth(room) for room in found}
    return [[room for room in ROOMS if depths[room] == row] for row in range(max(depths.values()) + 1)]


def places(rows: list[list[str]], found: Arrows) -> dict[str, Point]:
    """Return the centre of each box. Rows are centred; their order minimises the boxes hit, then the arrow lengths."""
    middle = MARGIN + (max(map(len, rows)) * ACROSS - (ACROSS - WIDTH)) / 2

    def put(orders: tuple[tuple[str, ...], ...]) -> dict[str, Point]:
        return {
            room: (middle + (n - (len(order) - 1) / 2) * ACROSS, MARGIN + HEIGHT / 2 + level * DOWN)
            for level, order in enumerate(orders)
            for n, room in enumerate(order)
        }

    def cost(orders: tuple[tuple[str, ...], ...]) -> tuple[int, float]:
        at = put(orders)
        pairs = [(at[start], at[end]) for start in found for end in found[start]]
        hits = sum(s[1] < y < e[1] and abs(s[0] - x) < ACROSS / 2 for s, e in pairs for x, y in at.values())
        return hits, sum((s[0] - e[0]) ** 2 for s, e in pairs)

    return put(min(itertools.product(*map(itertools.permutations, rows)), key=cost))


def box(room: str, centre: Point) -> Iterator[str]:
    """Yield the SVG elements of a room's box."""
    x, y = centre
    yield f'<rect class="box" x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    yield f'<text class="name" x="{x:g}" y="{y - 3:g}">{escape(room)}</text>'
    yield f'<text class="words" x="{x:g}" y="{y + 14:g}">{escape(ROOMS[room])}</text>'


def arrow(start: Point, end: Point) -> str:
    """Return an arrow from one box to a lower one: straight down to the last gap between rows, then across."""
    (x, y), (to_x, to_y) = (start[0], start[1] + HEIGHT / 2), (end[0], end[1] - HEIGHT / 2 - 7)
    gap, bend = end[1] - DOWN + HEIGHT / 2, (DOWN - HEIGHT) / 2
    down = f"V{gap:g} " if gap > y else ""
    curve = f"M{x:g} {y:g} {down}C{x:g} {gap + bend:g} {to_x:g} {to_y - bend * 1.6:g} {to_x:g} {to_y:g}"
    return f'<path class="arrow" marker-end="url(#head)" d="{curve}"/>'


def drawn(found: Mapping[str, set[str]]) -> str:
    """Return the picture of rooms and arrows as SVG."""
    few = reduced(dict(found))
    rows = rows_of(few)
    at = places(rows, few)
    width = 2 * MARGIN + max(map(len, rows)) * ACROSS - (ACROSS - WIDTH)
    height = 2 * MARGIN + (len(rows) - 1) * DOWN + HEIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="The rooms of the package; arrows point to what a room imports">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" fill="#fbfaf6" width="{width}" height="{height}"/>',
        '<marker id="head" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker>',
        *(arrow(at[room], at[end]) for room in ROOMS for end in sorted(few[room])),
        *itertools.chain.from_iterable(box(room, at[room]) for room in ROOMS),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "rooms.svg")
    parser.parse_args().output.write_text(drawn(arrows()), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
