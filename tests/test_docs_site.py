"""The documentation site builds without warnings, loads nothing from other hosts, and has no broken links."""

from __future__ import annotations

import html.parser
import importlib.util
import os
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.documents import ROOT, read

MISSING = [name for name in ("mkdocs", "material", "latex2mathml") if importlib.util.find_spec(name) is None]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}  # what a browser loads by itself


class _Page(html.parser.HTMLParser):
    """The anchors, links and loaded resources of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names, self.links, self.loads = set[str](), list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.names |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADED and LOADED[tag] in found and found.get("rel") != "canonical":
            self.loads.append(found[LOADED[tag]])


def pages(site: Path) -> dict[Path, _Page]:
    """Read the pages of a site, except 404.html, whose links start at the site's root."""
    return {path: _Page(path.read_text("utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def broken(site: Path) -> Iterator[str]:
    """Yield the broken links of a site, and the pictures and scripts it would load from other hosts."""
    found = pages(site)
    for path, page in found.items():
        for link in page.links + page.loads:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    yield f"{path.relative_to(site)}: {link} is on another host"
                continue
            to = Path(os.path.normpath(path.parent / urllib.parse.unquote(parts.path))) if parts.path else path
            to = to / "index.html" if to.is_dir() else to
            if not to.is_file() or not to.is_relative_to(site):
                yield f"{path.relative_to(site)}: {link} is not there"
            elif parts.fragment and to in found and urllib.parse.unquote(parts.fragment) not in found[to].names:
                yield f"{path.relative_to(site)}: {link} has no such anchor"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if MISSING:
        pytest.skip(f"{', '.join(MISSING)} is not installed (the extra `docs`)")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    assert len(pages(site)) > 10
    assert list(broken(site)) == []


@pytest.mark.slow
def test_the_pages_show_no_marks_and_no_formula_as_it_is_typed(site: Path) -> None:
    for path in pages(site):
        text = re.sub(r"<(pre|code|script|annotation)\b.*?</\1>", "", path.read_text("utf-8"), flags=re.DOTALL)
        assert "\\frac" not in text
        assert not re.search(r"&lt;!--|```", text), path
    assert "<math" in (site / "tutorial" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ('<a href="b/">', []),
        ('<a href="b/#there">', []),
        ('<a href="https://example.org/x">', []),
        ('<img src="data:image/png;base64,AA">', []),
        ('<a href="c/">', ["index.html: c/ is not there"]),
        ('<a href="b/#gone">', ["index.html: b/#gone has no such anchor"]),
        ('<a href="#gone">', ["index.html: #gone has no such anchor"]),
        ('<a href="../outside.html">', ["index.html: ../outside.html is not there"]),
        ('<script src="https://example.org/x.js">', ["index.html: https://example.org/x.js is on another host"]),
    ],
)
def test_a_broken_link_is_found(page: str, wrong: list[str], tmp_path: Path) -> None:
    (tmp_path / "outside.html").write_text("")
    site = tmp_path / "site"
    (site / "b").mkdir(parents=True)
    (site / "b" / "index.html").write_text('<h2 id="there">')
    (site / "index.html").write_text(page)
    assert list(broken(site)) == wrong


# The MkDocs hooks


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("a.md", "[b](b.md) [c](#c) [d](https://example.org/x.md)", None),
        ("a.md", "[b](../b.md#c)", "[b](checkout/b.md#c)"),
        ("a.md", "![b](../b/c.svg)", "![b](checkout/b/c.svg)"),
        ("a.md", "[`b`](../b/c.py)", "[`b`](checkout/b/c.py.source.md)"),
        ("a.md", "```\n[b](../b.md)\n```", None),
        ("checkout/b/README.md", "[a](../docs/a.md)", "[a](../../a.md)"),
        ("checkout/b/README.md", "[c](c.json)", "[c](c.json.source.md)"),
    ],
)
def test_links_out_of_the_folder_stay_on_the_site(
    hooks: ModuleType, page: str, text: str, expected: str | None
) -> None:
    assert hooks.with_site_links(text, page) == (text if expected is None else expected)


def test_code_is_no_formula(hooks: ModuleType) -> None:
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed (the extra `docs`)")
    text = "`$a$`\n```\n$b$\n```\n"
    assert hooks.with_formulas(text + "$c_t$").startswith(text + "<math")


def test_every_document_is_in_the_navigation() -> None:
    listed = set(re.findall(r"^  - .*: (\S+\.md)$", read("mkdocs.yml"), re.MULTILINE))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")}
