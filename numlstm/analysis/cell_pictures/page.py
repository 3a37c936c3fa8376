"""Write a page of cell activations: for each cell a coloured text that wraps with the window and can be searched.

The page is one self-contained HTML file without scripts. Everything from the text is escaped.
"""

from __future__ import annotations

import html
import itertools
from typing import Any

from ...text.vocab import display
from .layout import LEVELS, Drawing, colour, hexadecimal, ink, level

_FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def page(drawing: Drawing) -> str:
    """Return the drawing as an HTML page."""
    steps = range(-LEVELS, LEVELS + 1)
    rules = "".join(
        f".v{step + LEVELS}{{background:{hexadecimal(colour(step))};color:{hexadecimal(ink(step))}}}" for step in steps
    )
    bar = "".join(f'<i class="v{step + LEVELS}">&nbsp;</i>' for step in steps)
    panels = "".join(
        f"<section><h2>{html.escape(panel.heading)}</h2><p>{html.escape(panel.note)}</p>"
        f'<p class="text">{_spans(drawing, panel.values)}</p></section>\n'
        for panel in drawing.panels
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(drawing.title)}</title>\n"
        "<style>body{margin:0 auto;max-width:60rem;padding:1.5rem 1.25rem;font:1rem/1.5 system-ui,sans-serif}"
        "h1{font-size:1.35rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.75rem 0 0}p{margin:.25rem 0}"
        f".text{{font:.95rem/1.6 {_FONTS};white-space:pre-wrap;overflow-wrap:anywhere;padding:.6rem;"
        "background:#fff;color:#000;border-radius:.3rem;border:1px solid #8888}"
        "i{font-style:normal;-webkit-print-color-adjust:exact;print-color-adjust:exact}"
        ".bar{font-family:monospace;line-height:1}.bar i{display:inline-block;width:.4rem;overflow:hidden}"
        f".text u{{text-decoration:none;opacity:.5}}{rules}</style>\n"
        f"<h1>{html.escape(drawing.title)}</h1>\n"
        f'<p><span class="bar" aria-hidden="true">{bar}</span> {html.escape(drawing.legend)}</p>\n{panels}</html>\n'
    )


def _spans(drawing: Drawing, values: Any) -> str:
    """Return the coloured text of a panel; adjacent tokens of the same colour share an element."""
    pairs = zip(drawing.units, values, strict=True)
    parts = []
    for step, same in itertools.groupby(pairs, lambda pair: level(float(pair[1]))):
        text = html.escape(display.visible("".join(unit for unit, _ in same)))
        seen = text.replace("\n", '<u aria-hidden="true">↵</u>\n')
        parts.append(f'<i class="v{step + LEVELS}" title="{step / LEVELS:+.2f}">{seen}</i>')
    return "".join(parts)
