"""Where the tokens of a text stand on lines of a fixed width, and which colour an activation has.

The colours run from blue over white to red, which people with any kind of colour vision can tell apart (Brewer's RdBu).
Knows nothing about networks, and nothing about terminals or pictures.
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

LEVELS = 20  # on either side of 0: as many colours as can be told apart, and few enough to be named in a page
_STOPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_COLOURS = ((0x21, 0x66, 0xAC), (0x92, 0xC5, 0xDE), (0xF7, 0xF7, 0xF7), (0xF4, 0xA5, 0x82), (0xB2, 0x18, 0x2B))


@dataclasses.dataclass(frozen=True)
class Panel:
    """A cell's heading, a note below it, and its activations (N,) from -1 to 1, for each of a text's units."""

    heading: str
    note: str
    values: npt.NDArray[np.floating[Any]]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What is to be drawn: a title, what the colours stand for, the `units` of a text, and a panel for each cell."""

    title: str
    legend: str
    units: Sequence[str]
    panels: Sequence[Panel]


@dataclasses.dataclass(frozen=True)
class Glyph:
    """A unit on a line: where it begins, how many columns it takes, what is written there, and which unit it is."""

    column: int
    columns: int
    text: str
    unit: int


def level(value: float) -> int:
    """Return the level of an activation, from -LEVELS to LEVELS."""
    return round(max(-1.0, min(1.0, value)) * LEVELS)


def colour(of_level: int) -> Colour:
    """Return the background of a level, as red, green and blue from 0 to 255."""
    place = of_level / LEVELS
    red, green, blue = (round(float(np.interp(place, _STOPS, part))) for part in zip(*_COLOURS, strict=True))
    return red, green, blue


def ink(of_level: int) -> Colour:
    """Return the colour of writing on that of a level: black or white, whichever stands out more."""
    luminance = _luminance(colour(of_level))
    return (0, 0, 0) if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else (255, 255, 255)


def _luminance(of: Colour) -> float:
    """Return the relative luminance of a colour, as the Web Content Accessibility Guidelines define it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in of)]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def hexadecimal(of: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*of)


def lines(units: Sequence[str], width: int) -> list[list[Glyph]]:
    """Return the lines of a text, of `width` columns at most, broken at spaces where there are any.

    A line's end is a glyph of its own, ↵. What has no width stands with the unit before it.
    """
    found: list[list[Glyph]] = [[]]
    for place, unit in enumerate(units):
        for text, ends in _parts(unit, width):
            _put(found, Glyph(0, columns(text), text, place), width)
            if ends:
                found.append([])
    return found if found[-1] or len(found) == 1 else found[:-1]


def columns(text: str) -> int:
    """Return how many columns of a fixed width a text takes: East Asian characters two, combining marks none."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _parts(unit: str, width: int) -> list[tuple[str, bool]]:
    """Return what is written for a unit, cut where it is longer than a line, and whether a line ends after it."""
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
    if column + new.columns > width and new.text != "↵":  # which may stand in the margin
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
    """Take away what stands after the last space of a full line, if that is not more than half of it."""
    for at in range(len(line) - 1, len(line) // 2, -1):
        if line[at].text.endswith(" "):
            rest = line[at + 1 :]
            del line[at + 1 :]
            return rest
    return []
