"""Lay out the tokens of a text on lines of fixed width, and choose the colour of an activation.

The colours run from blue through white to red (Brewer's RdBu), distinguishable with any kind of colour vision.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...text.vocab import display

Colour = tuple[int, int, int]

LEVELS = 20  # on each side of 0: as many colours as can be told apart, and few enough for a CSS class each
_STOPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_COLOURS = ((0x21, 0x66, 0xAC), (0x92, 0xC5, 0xDE), (0xF7, 0xF7, 0xF7), (0xF4, 0xA5, 0x82), (0xB2, 0x18, 0x2B))


@dataclasses.dataclass(frozen=True)
class Panel:
    """A cell's heading, a note below it, and its activations (N,) from -1 to 1, one for each unit of the text."""

    heading: str
    note: str
    values: npt.NDArray[np.floating[Any]]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """The content of a picture: a title, a legend for the colours, the `units` of a text, and a panel for each cell."""

    title: str
    legend: str
    units: Sequence[str]
    panels: Sequence[Panel]


@dataclasses.dataclass(frozen=True)
class Glyph:
    """A unit on a line: its first column, its width in columns, its text, and the unit's index."""

    column: int
    columns: int
    text: str
    unit: int


def level(value: float) -> int:
    """Return the level of an activation, from -LEVELS to LEVELS."""
    return round(max(-1.0, min(1.0, value)) * LEVELS)


def colour(of_level: int) -> Colour:
    """Return the background colour of a level, as red, green and blue from 0 to 255."""
    place = of_level / LEVELS
    red, green, blue = (round(float(np.interp(place, _STOPS, part))) for part in zip(*_COLOURS, strict=True))
    return red, green, blue


def ink(of_level: int) -> Colour:
    """Return the text colour for a level: black or white, whichever has more contrast."""
    luminance = _luminance(colour(of_level))
    return (0, 0, 0) if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else (255, 255, 255)


def _luminance(of: Colour) -> float:
    """Return the relative luminance of a colour (Web Content Accessibility Guidelines)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in of)]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def hexadecimal(of: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*of)


def lines(units: Sequence[str], width: int) -> list[list[Glyph]]:
    """Break a text into lines of at most `width` columns, at spaces if possible.

    A line break is a glyph of its own, ↵. A unit without width joins the glyph before it.
    """
    found: list[list[Glyph]] = [[]]
    for place, unit in enumerate(units):
        for text, ends in _parts(unit, width):
            _put(found, Glyph(0, columns(text), text, place), width)
            if ends:
                found.append([])
    return found if found[-1] or len(found) == 1 else found[:-1]


def columns(text: str) -> int:
    """Return the width of a text in columns: two for East Asian wide characters, none for combining marks."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _parts(unit: str, width: int) -> list[tuple[str, bool]]:
    """Return the displayed pieces of a unit, split to fit a line, each with True if a line break follows."""
    found: list[tuple[str, bool]] = []
    for line in display.visible(unit).replace("\t", "⇥").splitlines(keepends=True) or [""]:
        ends = line.endswith("\n")
        text = line.rstrip("\n") + "↵" * ends
        size = len(text) if columns(text) <= width else width // 2
        pieces = [text[at : at + size] for at in range(0, len(text), size or 1)] or [""]
        found += [(piece, ends and n == len(pieces) - 1) for n, piece in enumerate(pieces)]
    return found


def _put(found: list[list[Glyph]], new: Glyph, width: int) -> None:
    line = found[-1]
    if line and not new.columns:
        last = line.pop()
        line.append(Glyph(last.column, last.columns, last.text + new.text, new.unit))
        return
    column = line[-1].column + line[-1].columns if line else 0
    if column + new.columns > width and new.text != "↵":  # ↵ may extend into the margin
        rest = _rest(line)
        found.append([])
        for glyph in rest:
            _put(found, glyph, width)
        line = found[-1]
        column = line[-1].column + line[-1].columns if line else 0
        if line and column + new.columns > width:
            found.append([])
            line, column = found[-1], 0
    line.append(dataclasses.replace(new, column=column))


def _rest(line: list[Glyph]) -> list[Glyph]:
    """Remove and return the glyphs after the last space of a full line, if they are at most half of it."""
    for at in range(len(line) - 1, len(line) // 2, -1):
        if line[at].text.endswith(" "):
            rest = line[at + 1 :]
            del line[at + 1 :]
            return rest
    return []
