"""Draw a picture of cells as a self-contained SVG; all text in it is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator

from .layout import Drawing, columns, hexadecimal
from .shapes import COLUMN, Box, Writing, shapes

_FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def svg(drawing: Drawing) -> str:
    """Return the drawing as an SVG document."""
    width, height, boxes, writing = shapes(drawing)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:g}" '
            f'viewBox="0 0 {width} {height:g}" role="img" aria-labelledby="title" font-family="{_FONTS}">',
            f'<title id="title">{html.escape(drawing.title)}</title>',
            f'<rect width="{width}" height="{height:g}" fill="#ffffff"/>',
            *map(_box, boxes),
            *map(_written, writing),
            "</svg>\n",
        ]
    )


def _box(box: Box) -> str:
    x, y, width, height, fill = box
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{hexadecimal(fill)}"/>'


def _written(of: Writing) -> str:
    look = f'y="{of.y:g}" font-size="{of.size:g}"' + ' font-weight="bold"' * of.bold
    fill = f' fill="{hexadecimal(of.colour)}"' if any(of.colour) else ""
    return f'<text {_place(of)} {look}{fill} xml:space="preserve">{html.escape(of.text)}</text>'


def _place(of: Writing) -> str:
    """Return the attributes that place a text, keeping each character in its columns whatever the font."""
    if not of.glyphs:
        return f'x="{of.x:g}"'
    if of.text.isascii():
        return f'x="{of.x:g}" textLength="{COLUMN * len(of.text)}"'
    return f'x="{" ".join(f"{x:g}" for x in _each(of))}"'


def _each(of: Writing) -> Iterator[float]:
    """Yield the x of each UTF-16 unit, as SVG counts characters."""
    for glyph in of.glyphs:
        x = of.x + COLUMN * (glyph.column - of.glyphs[0].column)
        for character in glyph.text:
            yield from [x] * (1 + (character > "\uffff"))
            x += COLUMN * columns(character)
