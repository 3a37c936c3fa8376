"""Draw a picture of cells as PNG or PDF, with matplotlib and without a display."""

from __future__ import annotations

import io
import warnings
from typing import Any

from .layout import Drawing, hexadecimal
from .shapes import COLUMN, Box, Writing, shapes

_EM = 0.602  # width of a letter, in ems, of DejaVu Sans Mono, which comes with matplotlib
_PIXEL = 0.72  # points per pixel, at 100 pixels per inch
_DPI = 200


def plotted(drawing: Drawing, kind: str) -> bytes:
    """Return the drawing as the bytes of a file; `kind` is "png" or "pdf"."""
    import matplotlib
    from matplotlib.figure import Figure

    width, height, boxes, writing = shapes(drawing)
    settings: Any = {"text.hinting": "no_hinting", "text.parse_math": False, "font.family": "DejaVu Sans Mono"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a character missing from the font becomes an empty box
        figure = Figure(figsize=(width / 100, height / 100), dpi=_DPI)
        panel = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        panel.set_axis_off()
        _fill(panel, boxes)
        for each in writing:
            _write(panel, each)
        data = io.BytesIO()
        figure.savefig(data, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
    return data.getvalue()


def _fill(panel: Any, boxes: list[Box]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    patches = [Rectangle((box.x, box.y), box.width, box.height) for box in boxes]
    fills = [hexadecimal(box.colour) for box in boxes]
    panel.add_collection(PatchCollection(patches, facecolors=fills, edgecolors="none", zorder=0, antialiaseds=False))


def _write(panel: Any, of: Writing) -> None:
    weight, fill = "bold" if of.bold else "normal", hexadecimal(of.colour)
    if not of.glyphs:
        panel.text(of.x, of.y, of.text, fontsize=of.size * _PIXEL, weight=weight, color=fill)
        return
    size = COLUMN / _EM * _PIXEL
    if of.text.isascii():
        panel.text(of.x, of.y, of.text, fontsize=size, color=fill)
        return
    for glyph in of.glyphs:
        if glyph.text.strip():
            x = of.x + COLUMN * (glyph.column - of.glyphs[0].column)
            panel.text(x, of.y, glyph.text, fontsize=size, color=fill)
