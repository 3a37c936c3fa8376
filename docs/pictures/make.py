"""Draw the tutorial's pictures: `python docs/pictures/make.py [NAME ...]`, by default all of them.

Each is drawn in each language: `cell.svg` and `cell.ko.svg`. Text is drawn as outlines, so that a picture looks the
same everywhere, and the background is opaque, so that it is readable on light and dark pages. The Korean pictures need
a font with Hangul (`pip install koreanize-matplotlib` installs one). The same versions of matplotlib and the fonts give
the same bytes.

`--expect MODEL PROMPT` and `--surprise MODEL FILE` update the data of two pictures, `next.json` and `surprise.json`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path

import charts
import diagrams
import matplotlib
import measure
from matplotlib import font_manager
from matplotlib.figure import Figure
from strokes import INK, LINE, PAPER
from words import WORDS

HERE = Path(__file__).resolve().parent

DRAWINGS: dict[str, Callable[[dict[str, str]], Figure]] = {
    "cell": diagrams.cell,
    "unrolled": diagrams.unrolled,
    "streams": diagrams.streams,
    "taps": charts.taps,
    "temperature": charts.temperature,
    "surprise": charts.surprise,
}
FONTS = {
    "en": ["DejaVu Sans"],
    "ko": ["NanumGothic", "Noto Sans CJK KR", "Noto Sans KR", "Malgun Gothic", "AppleGothic"],
}
STYLE = {
    "svg.fonttype": "path",
    "svg.hashsalt": "numlstm",
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": False,
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}


def fonts(language: str) -> list[str]:
    """Return the installed fonts for a language. Raises `SystemExit` if there is none."""
    package = importlib.util.find_spec("koreanize_matplotlib")
    if package is not None and package.origin is not None:
        for path in Path(package.origin).parent.rglob("*Gothic.ttf"):
            font_manager.fontManager.addfont(path)
    installed = set(font_manager.get_font_names())
    found = [name for name in FONTS[language] if name in installed]
    if not found:
        raise SystemExit(f"no font for {language}: install one of {', '.join(FONTS[language])}")
    return [*found, "DejaVu Sans"]


def draw(name: str, language: str, folder: Path = HERE, suffix: str = "svg") -> Path:
    """Draw one picture in one language and return its file."""
    target = folder / f"{name}{'' if language == 'en' else '.' + language}.{suffix}"
    with matplotlib.rc_context({**STYLE, "font.family": fonts(language)}):
        figure = DRAWINGS[name](WORDS[language])
        about = {"Date": None, "Creator": None} if suffix == "svg" else {}
        figure.savefig(target, metadata=about, dpi=110)
    if suffix == "svg":
        target.write_text(compact(target.read_text("utf-8")), "utf-8")
    return target


def compact(drawn: str) -> str:
    """Shorten the outlines of an SVG: round glyphs to whole units, other paths to hundredths of a point."""
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    glyphs = re.compile(r"(<path id=\"\w+-[^>]*? d=\")([^\"]*)")
    drawn = glyphs.sub(lambda found: found[1] + _rounded(found[2], 0), drawn)
    drawn = re.sub(r"(<path d=\")([^\"]*)", lambda found: found[1] + _rounded(found[2], 2), drawn)
    return re.sub(r"\s*\n\s*", "\n", drawn)


def _rounded(outline: str, digits: int) -> str:
    words = (f"{round(float(word), digits):g}" if word[-1].isdigit() else word for word in outline.split())
    return " ".join(words)


def write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=0) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(DRAWINGS)} (default: all)")
    parser.add_argument("--language", choices=list(WORDS), action="append", help="(default: all)")
    parser.add_argument("--png", action="store_true", help="draw PNG instead of SVG, for a preview")
    parser.add_argument("--folder", type=Path, default=HERE, help="output folder (default: beside this file)")
    parser.add_argument("--expect", nargs=2, metavar=("MODEL", "PROMPT"), help="write next.json")
    parser.add_argument("--surprise", nargs=2, metavar=("MODEL", "FILE"), help="write surprise.json")
    options = parser.parse_args()
    if options.expect:
        write(charts.NEXT, measure.expected(*options.expect))
    if options.surprise:
        model, file = options.surprise
        write(charts.SURPRISE, measure.surprises(model, Path(file).read_text("utf-8")))
    for name in options.names or DRAWINGS:
        for language in options.language or WORDS:
            print(draw(name, language, options.folder, "png" if options.png else "svg"))


if __name__ == "__main__":
    main()
