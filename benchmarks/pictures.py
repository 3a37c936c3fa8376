"""Draw results as pictures: `python -m benchmarks.pictures [FILE.json ...]`, by default all files in `results/`.

A picture is written beside its results. It has its own background, light or dark depending on the reader's colour
scheme. The same results give the same bytes. `drawings.py` defines the content of each picture.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .measure import RESULTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MISSING = "no picture: matplotlib is not installed; `pip install .[benchmark]` brings it"
# Colours of the light picture, and their replacements in the dark one; all other colours are used in both.
PAPER, INK, LINE = "#ffffff", "#1f2328", "#d0d7de"
_DARK = {PAPER: "#0d1117", INK: "#e6edf3", LINE: "#30363d"}
_STYLE = {
    "svg.fonttype": "none",  # text instead of outlines: smaller files, and the reader's own font
    "svg.hashsalt": "numlstm",  # otherwise element ids are random
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # fonts of about the same width
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "grid.color": LINE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


def draw_if_possible(path: Path | None) -> None:
    """Draw the results in a file, if there is one and matplotlib is installed."""
    if path is None:
        return
    if importlib.util.find_spec("matplotlib") is None:
        print(_MISSING)
        return
    print(f"drew {draw(path)}")


def draw(path: Path) -> Path:
    """Draw the results in a JSON file; return the path of the picture beside it."""
    import matplotlib

    from .drawings import DRAWINGS

    document = json.loads(path.read_text("utf-8"))
    with matplotlib.rc_context(_STYLE):
        figure = DRAWINGS[document["benchmark"]](document)
        target = path.with_suffix(".svg")
        _save(figure, target)
    return target


def draw_side_by_side(target: Path, sources: Sequence[Path]) -> None:
    """Draw the training results of several processors in one picture."""
    import matplotlib

    from .drawings import processors

    documents = [json.loads(path.read_text("utf-8")) for path in sources]
    with matplotlib.rc_context(_STYLE):
        _save(processors(documents), target)


def _save(figure: Figure, target: Path) -> None:
    about: dict[str, Any] = {"Date": None, "Creator": None}
    figure.savefig(target, bbox_inches="tight", pad_inches=0.15, metadata=about)
    drawn = re.sub(r"[ \t]+$", "", target.read_text("utf-8"), flags=re.MULTILINE)
    target.write_text(drawn.replace("<defs>", f"<style>{_dark_rules()}</style>\n <defs>", 1), "utf-8")


def _dark_rules() -> str:
    """Return the CSS rules that replace colours if the reader prefers a dark colour scheme."""
    rules = (
        f'[style*="{what}: {light}"] {{ {what}: {dark} !important }}'
        for light, dark in _DARK.items()
        for what in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark) {{ {' '.join(rules)} }}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="results (default: all in benchmarks/results)")
    together = "draw the named results of training on several processors side by side in this one picture"
    parser.add_argument("--together", type=Path, metavar="FILE.svg", help=together)
    if importlib.util.find_spec("matplotlib") is None:
        parser.error(_MISSING)
    args = parser.parse_args()
    if args.together:
        if not args.files:
            parser.error("--together needs the results to draw: name the files")
        draw_side_by_side(args.together, args.files)
        print(f"drew {args.together}")
        return
    for path in args.files or sorted(RESULTS.glob("*.json")):
        draw_if_possible(path)


if __name__ == "__main__":
    main()
