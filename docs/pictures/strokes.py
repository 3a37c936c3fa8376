"""Drawing primitives for diagrams: a blank page, boxes, round operations, arrows, words, and their colours.

Lengths are in page units of half an inch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

PAPER, INK, LINE, PALE = "#fbfaf6", "#24292f", "#c9c5bb", "#f1eee6"
FAINT = "#6a6f76"
# Mostly Okabe & Ito's colours, which are distinct for people with any colour vision.
RED, GREEN, AMBER, BLUE, PINK = "#d55e00", "#009e73", "#e69f00", "#0072b2", "#b8558d"

Point = tuple[float, float]


def page(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty page of the given size in units."""
    figure = Figure(figsize=(width / 2, height / 2))
    panel = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_xlim(0, width)
    panel.set_ylim(0, height)
    panel.set_axis_off()
    panel.set_aspect("equal")
    return figure, panel


def box(
    panel: Axes, centre: Point, size: Point, *, fill: str = PAPER, edge: str = INK, line: float = 1.4, zorder: int = 3
) -> None:
    """Draw a box with rounded corners."""
    (x, y), (width, height) = centre, size
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.18",
        facecolor=fill,
        edgecolor=edge,
        linewidth=line,
        zorder=zorder,
    )
    panel.add_patch(shape)


def operation(panel: Axes, centre: Point, sign: str, colour: str = INK) -> None:
    """Draw a sign in a circle."""
    panel.add_patch(Circle(centre, 0.36, facecolor=PAPER, edgecolor=colour, linewidth=1.8, zorder=4))
    words(panel, centre, sign, size=15, colour=colour, zorder=5, family="DejaVu Sans")


def path(
    panel: Axes,
    points: Sequence[Point],
    *,
    colour: str = INK,
    line: float = 1.6,
    arrow: bool = True,
    dashed: bool = False,
) -> None:
    """Draw a line through points, with an arrow at its end."""
    style = (0, (4, 3)) if dashed else "-"
    *before, start, end = points
    corners = [*before, start]
    if len(corners) > 1:
        panel.plot(
            *zip(*corners, strict=True),
            color=colour,
            linewidth=line,
            linestyle=style,
            zorder=2,
            solid_joinstyle="round",
        )
    shape = FancyArrowPatch(
        start,
        end,
        arrowstyle="-|>,head_length=5,head_width=3" if arrow else "-",
        color=colour,
        linewidth=line,
        linestyle=style,
        shrinkA=0,
        shrinkB=0,
        mutation_scale=1.4,
        zorder=2,
    )
    panel.add_patch(shape)


def words(
    panel: Axes, where: Point, text: str, *, size: float = 11, colour: str = INK, zorder: int = 6, **more: Any
) -> None:
    """Write words, centred by default."""
    panel.text(
        *where, text, **{"ha": "center", "va": "center", "fontsize": size, "color": colour, "zorder": zorder, **more}
    )
