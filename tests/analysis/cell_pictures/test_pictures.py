"""Cell pictures show the text in its columns on the right colours, and none of it becomes markup."""

from __future__ import annotations

import dataclasses
import html.parser
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from numlstm.analysis import cell_pictures
from numlstm.analysis.cell_pictures import Drawing, Panel
from numlstm.analysis.cell_pictures.page import page
from numlstm.analysis.cell_pictures.svg import svg
from numlstm.errors import ConfigError, StorageError

SVG = "{http://www.w3.org/2000/svg}"
UNITS = list("<b>&한🙂\nAa")
VALUES = np.array([1, 1, 1, 0, -1, -1, 0.5, 0, 0], np.float32)


@pytest.fixture
def drawing() -> Drawing:
    panels = [Panel("layer 0, cell 1: <i>x", "also & more", VALUES), Panel("layer 1, cell 2", "", -VALUES)]
    return Drawing("What <cells> do", "tanh(c) & so on", UNITS, panels)


def test_svg(drawing: Drawing) -> None:
    root = ElementTree.fromstring(svg(drawing))
    assert root.find(f"{SVG}title").text == "What <cells> do"  # type: ignore[union-attr]
    texts = [
        each for each in root.iter(f"{SVG}text") if each.get("font-size") == "13.3" and not each.get("font-weight")
    ]
    assert [each.text for each in texts] == ["<b>", "&", "한🙂", "↵", "Aa", "<b>", "&", "한🙂", "↵", "Aa"]
    assert [each.get("fill") for each in texts[:4]] == ["#ffffff", None, "#ffffff", None]
    assert (texts[0].get("x"), texts[0].get("textLength")) == ("16", "24")
    assert texts[2].get("x") == "48 64 64", "one x per UTF-16 unit: SVG counts the emoji twice"
    ground = {float(box.get("x", 0)): box for box in root.iter(f"{SVG}rect") if box.get("y") == "118"}
    assert [(x, box.get("width"), box.get("fill")) for x, box in ground.items()] == [
        (16, "24", "#b2182b"),
        (40, "8", "#f7f7f7"),
        (48, "32", "#2166ac"),
        (80, "8", "#f4a582"),
    ]
    headings = [each.text for each in root.iter(f"{SVG}text") if each.get("font-weight")]
    assert headings == ["What <cells> do", "layer 0, cell 1: <i>x", "layer 1, cell 2"]
    assert float(root.get("height", 0)) > max(float(each.get("y", 0)) for each in texts)


class Reader(html.parser.HTMLParser):
    """Collects the tags and text that a browser would parse."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.spans: list[tuple[str, str]] = []
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.style = dict(attrs).get("class") or "" if tag == "i" else self.style

    def handle_endtag(self, tag: str) -> None:
        self.style = "" if tag == "i" else self.style

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.style:
            self.spans.append((self.style, data))


def test_page(drawing: Drawing) -> None:
    reader = Reader()
    reader.feed(page(drawing))
    assert set(reader.tags) <= {"html", "meta", "title", "style", "h1", "h2", "p", "span", "section", "i", "u"}
    assert "b" not in reader.tags
    assert reader.tags.count("section") == 2
    spans = [(style, text) for style, text in reader.spans if text != "\xa0"]
    assert spans[:6] == [("v40", "<b>"), ("v20", "&"), ("v0", "한🙂"), ("v30", "↵"), ("v30", "\n"), ("v20", "Aa")]
    assert "What <cells> do" in reader.texts
    assert "http" not in page(drawing).replace("http-equiv", ""), "the page refers to external resources"


@pytest.mark.parametrize("suffix", [".svg", ".html", ".SVG"])
def test_files_are_written_whole(drawing: Drawing, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"cells{suffix}"
    for each in (drawing, dataclasses.replace(drawing, title="Other")):
        cell_pictures.save(each, path)
    assert path.read_text("utf-8") == (page if suffix == ".html" else svg)(each)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_matplotlib_draws_the_same(drawing: Drawing, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed (the extra `plot`)")
    cell_pictures.save(drawing, tmp_path / "cells.png")
    pixels = image.imread(tmp_path / "cells.png")[..., :3]
    assert pixels.shape[1] == 2 * 648
    for x, expected in ((16.5, "b2182b"), (40.5, "f7f7f7"), (79, "2166ac"), (80.5, "f4a582")):
        found = np.round(255 * pixels[2 * 119, round(2 * x)]).astype(int)
        assert "".join(f"{part:02x}" for part in found) == expected
    assert (pixels[2 * 118 : 2 * 136, 32:80].max(axis=2) > 0.95).any(), "no white text on red"
    cell_pictures.save(drawing, tmp_path / "cells.pdf")
    assert (tmp_path / "cells.pdf").read_bytes().startswith(b"%PDF")


def test_names_that_are_no_pictures(drawing: Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"one that ends in .svg, .html, .png, .pdf"):
        cell_pictures.save(drawing, tmp_path / "cells.gif")
    (tmp_path / "x.svg").mkdir()
    with pytest.raises(StorageError, match="is a folder"):
        cell_pictures.check_output(tmp_path / "x.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'numlstm\[plot\]'"):
        cell_pictures.check_output(tmp_path / "cells.png")
    cell_pictures.check_output(tmp_path / "cells.svg")
