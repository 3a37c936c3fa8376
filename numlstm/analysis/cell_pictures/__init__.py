"""Draw cell activations: for each cell the text, on a background coloured by the cell's activations.

`.svg` and `.html` are written directly; `.png` and `.pdf` are drawn with matplotlib.
"""

from __future__ import annotations

import os
from pathlib import Path

from ...monitoring.plot import check_picture
from ...storage.atomic import atomic_write, check_writable
from .layout import Drawing, Panel

__all__ = ["Drawing", "Panel", "check_output", "save"]

SUFFIXES = (".svg", ".html", ".png", ".pdf")
_DIRECT, _PLOTTED = SUFFIXES[:2], SUFFIXES[2:]


def check_output(path: str | os.PathLike[str]) -> None:
    """Check that a picture can be written to `path`.

    Raises `ConfigError` as `check_picture` does, and `StorageError` if the file cannot be written.
    """
    check_picture(path, SUFFIXES, direct=_DIRECT)
    check_writable(path)


def save(drawing: Drawing, path: str | os.PathLike[str]) -> None:
    """Draw to a file in the format of its suffix. Raises the same errors as `check_output`."""
    check_output(path)
    picture = _picture(drawing, Path(path).suffix.lower())
    with atomic_write(path) as file:
        file.write(picture)


def _picture(drawing: Drawing, suffix: str) -> bytes:
    if suffix in _PLOTTED:
        from .plotted import plotted

        return plotted(drawing, suffix[1:])
    if suffix == ".html":
        from .page import page

        return page(drawing).encode("utf-8", "replace")
    from .svg import svg

    return svg(drawing).encode("utf-8", "replace")
