"""Draw the activations of cells in a terminal, as background colours or, without colours, as digits below the text."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from ...analysis.cell_pictures.layout import LEVELS, Drawing, Glyph, Panel, colour, hexadecimal, ink, level, lines

_WIDEST, _NARROWEST = 100, 20  # columns


def show(drawing: Drawing) -> None:
    """Print a drawing on stdout, in colours if the terminal supports them."""
    console = Console(highlight=False, soft_wrap=True)
    colours = console.color_system is not None and not console.no_color
    laid = lines(drawing.units, max(_NARROWEST, min(console.width - 1, _WIDEST)))
    print_ = console.print if sys.stdout.isatty() or colours else _plain
    print_(_legend(drawing.legend) if colours else Text(f"{drawing.legend}\n(as digits: 0 for -1, 9 for 1)"))
    for panel in drawing.panels:
        print_(Text.assemble("\n", (panel.heading, "bold"), "\n", (panel.note, "dim")))
        for line in laid:
            print_(_coloured(line, panel) if colours else Text(_digits(line, panel)))


def _plain(text: Text) -> None:
    print(text.plain)


def _legend(said: str) -> Text:
    steps = range(-LEVELS, LEVELS + 1, 2)
    return Text.assemble(*((" ", _style(step)) for step in steps), " ", said)


def _coloured(line: list[Glyph], panel: Panel) -> Text:
    return Text.assemble(*((glyph.text, _style(_level(glyph, panel))) for glyph in line))


def _digits(line: list[Glyph], panel: Panel) -> str:
    """Return a line of text, and a line with a digit below each unit."""
    text = "".join(glyph.text for glyph in line)
    digits = "".join(
        str(min(9, 10 * (_level(glyph, panel) + LEVELS) // (2 * LEVELS))).ljust(glyph.columns) for glyph in line
    )
    return f"{text}\n{digits}"


def _level(glyph: Glyph, panel: Panel) -> int:
    return level(float(panel.values[glyph.unit]))


def _style(step: int) -> Any:
    return f"{hexadecimal(ink(step))} on {hexadecimal(colour(step))}"
