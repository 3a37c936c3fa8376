"""The boxes and texts of a picture of cells, in pixels from its top left corner."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from .layout import LEVELS, Colour, Drawing, Glyph, colour, ink, level, lines

WIDTH = 76  # columns per line
COLUMN = 8  # pixels per column
DIM: Colour = (0x44, 0x44, 0x44)

_LINE, _MARGIN, _HEAD, _TOP = 19, 16, 44, 74  # pixels: a line, the margin, a panel's heading, title with legend
_BLACK: Colour = (0, 0, 0)
_STEP = 3  # pixels of each colour in the legend


class Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    colour: Colour


class Writing(NamedTuple):
    """A text with its baseline at `y`. If there are `glyphs`, each is placed at its own column, starting from `x`."""

    x: float
    y: float
    text: str
    colour: Colour
    size: float
    bold: bool = False
    glyphs: tuple[Glyph, ...] = ()


class Shapes(NamedTuple):
    width: int
    height: float
    boxes: list[Box]
    writing: list[Writing]


def shapes(drawing: Drawing) -> Shapes:
    """Return the boxes and texts of a drawing, with its width and height."""
    laid = lines(drawing.units, WIDTH)
    boxes = [Box(_MARGIN + _STEP * n, 40, _STEP, 14, colour(step)) for n, step in enumerate(range(-LEVELS, LEVELS + 1))]
    legend = _MARGIN + _STEP * (2 * LEVELS + 1) + 12
    writing = [
        Writing(_MARGIN, 26, drawing.title, _BLACK, 15, bold=True),
        Writing(legend, 52, drawing.legend, DIM, 12),
    ]
    top: float = _TOP
    for panel in drawing.panels:
        writing.append(Writing(_MARGIN, top + 18, panel.heading, _BLACK, 13.3, bold=True))
        writing.append(Writing(_MARGIN, top + 35, panel.note, DIM, 12))
        top += _HEAD
        for line in laid:
            boxes += _ground(line, top, panel.values)
            writing += _written(line, top, panel.values)
            top += _LINE
        top += _LINE / 2
    return Shapes(2 * _MARGIN + (WIDTH + 1) * COLUMN, top + _MARGIN, boxes, writing)


def _ground(line: list[Glyph], top: float, values: Any) -> Iterator[Box]:
    """Yield a background box for each run of glyphs with the same colour."""
    for step, same in itertools.groupby(line, lambda glyph: level(float(values[glyph.unit]))):
        run = list(same)
        width = COLUMN * sum(glyph.columns for glyph in run)
        yield Box(_MARGIN + COLUMN * run[0].column, top, width, _LINE - 1, colour(step))


def _written(line: list[Glyph], top: float, values: Any) -> Iterator[Writing]:
    """Yield a text for each run of glyphs with the same text colour."""
    for fill, same in itertools.groupby(line, lambda glyph: ink(level(float(values[glyph.unit])))):
        run = tuple(same)
        text = "".join(glyph.text for glyph in run)
        if text.strip():
            yield Writing(_MARGIN + COLUMN * run[0].column, top + 14, text, fill, 13.3, glyphs=run)
