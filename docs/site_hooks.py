"""Hooks of MkDocs that fit the documents, which are written for a code host, to a site of their own.

- Pages link to files of the checkout outside `docs/`, such as `../CONTRIBUTING.md`. These files join the site,
  below `checkout/`: Markdown as pages, pictures as they are, source files as pages that show them.
- Comments before blocks are marks for the tests and are taken out.
- Formulas between dollar signs become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import os.path
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

OUTSIDE = "checkout"  # where files from outside docs/ are on the site
PICTURES = (".svg", ".png")

_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`[^`\n]+`)")
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
_MARK = re.compile(r"^<!-- .*? -->\n", re.MULTILINE)
_FORMULA = re.compile(r"\$\$(?P<block>[^$]+)\$\$|\$(?P<inline>[^$\n]+)\$")


def in_checkout(site_path: str) -> str:
    """Return where the source of a page lies in the checkout."""
    if site_path.startswith(f"{OUTSIDE}/"):
        return site_path.removeprefix(f"{OUTSIDE}/").removesuffix(".source.md")
    return f"docs/{site_path}"


def path_on_site(path: str) -> str:
    """Return where a file of the checkout is on the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    as_it_is = path.endswith((".md", *PICTURES))
    return f"{OUTSIDE}/{path}" if as_it_is else f"{OUTSIDE}/{path}.source.md"


def target(link: str, page: str) -> str | None:
    """Return the file of the checkout that a page's link leads to, None for a link to somewhere else."""
    if ":" in link:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(in_checkout(page)), link))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return Markdown with what is neither a fenced block nor code changed."""
    parts = _FENCED.split(text)
    for n in range(0, len(parts), 2):
        inner = _CODE.split(parts[n])
        inner[::2] = map(change, inner[::2])
        parts[n] = "".join(inner)
    return "".join(parts)


def with_site_links(text: str, page: str) -> str:
    """Return a page with its links to files leading to where they are on the site."""

    def moved(found: re.Match[str]) -> str:
        path = target(found[0], page)
        return found[0] if path is None else posixpath.relpath(path_on_site(path), posixpath.dirname(page) or ".")

    parts = _FENCED.split(text)
    parts[::2] = [_LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def with_formulas(text: str) -> str:
    """Return Markdown with formulas as MathML."""
    if not _FORMULA.search(text):
        return text
    from latex2mathml.converter import convert

    def converted(found: re.Match[str]) -> str:
        display = "block" if found["block"] else "inline"
        return str(convert(found["block"] or found["inline"], display=display))

    return outside_code(text, lambda part: _FORMULA.sub(converted, part))


def linked_outside(text: str, page: str) -> Iterator[str]:
    """Yield the files of the checkout, outside docs/, that a page links to."""
    for part in _FENCED.split(text)[::2]:
        for found in _LINK.finditer(part):
            path = target(found[0], page)
            if path is not None and not path.startswith(("docs/", "..")):
                yield path


def as_page(path: str, text: str) -> str:
    """Return the text of a page for a file from outside docs/; the search leaves it out."""
    unsearched = "---\nsearch:\n  exclude: true\n---\n"
    if path.endswith(".md"):
        return unsearched + text
    language = {".py": "python", ".js": "js", ".toml": "toml"}.get(os.path.splitext(path)[1], "text")
    return f"{unsearched}# `{path}`\n\n````{language}\n{text.rstrip()}\n````\n"


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside docs/ that pages link to, and those that these link to."""
    from mkdocs.structure.files import File

    root = Path(config.docs_dir).parent
    waiting = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    while waiting:
        page, text = waiting.pop()
        for path in linked_outside(text, page):
            place = path_on_site(path)
            if files.get_file_from_path(place) or not (root / path).is_file():
                continue
            if path.endswith(PICTURES):
                files.append(File.generated(config, place, abs_src_path=str(root / path)))
                continue
            content = as_page(path, (root / path).read_text("utf-8"))
            files.append(File.generated(config, place, content=content))
            if path.endswith(".md"):
                waiting.append((place, content))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Fit a page to the site."""
    place = page.file.src_uri
    if place.endswith(".source.md"):
        return markdown
    return with_formulas(with_site_links(_MARK.sub("", markdown), place))
