"""Extract the text of HTML and XHTML as a reader sees it: separate paragraphs, white space as in a browser.

The standard library's parser accepts anything: broken pages, unterminated entities, deep nesting.
"""

from __future__ import annotations

import codecs
import collections
import re
from html.parser import HTMLParser

_PARAGRAPHS = frozenset(
    {
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "ul",
        "ol",
        "dl",
        "table",
        "pre",
        "hr",
        "section",
        "article",
    }
    | {"header", "footer", "figure", "aside", "main", "form"}
)
_LINES = frozenset({"br", "li", "tr", "dt", "dd", "div", "figcaption", "caption", "option"})
_UNSEEN = frozenset({"script", "style", "title", "template", "svg", "rt", "rp"})  # rt: how a character is pronounced
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# How browsers decode a declared encoding (WHATWG Encoding Standard): as the larger set that was meant. A page whose
# declaration can be read as ASCII is not in UTF-16 or UTF-32, whatever it declares.
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "utf-16": "utf-8",
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
    "utf-32": "utf-8",
    "utf-32-le": "utf-8",
    "utf-32-be": "utf-8",
}
_SPACE = re.compile(r"[ \t\r\n\f]+")


def text_of_markup(page: str) -> str:
    """Return the visible text of a page, its paragraphs separated by empty lines, with a newline at the end."""
    parser = _Shown()
    parser.feed(page)
    parser.close()
    return parser.text()


def decode_markup(data: bytes) -> str:
    """Decode a page by its byte-order mark, else by its declared encoding, else as UTF-8, else as Windows-1252."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    said = _CHARSET.search(data[:2048])
    for encoding in ([said[1].decode("ascii")] if said else []) + ["utf-8"]:
        try:
            name = codecs.lookup(encoding).name
            return data.decode(_MEANT.get(name, name))
        except (LookupError, UnicodeError):
            continue
    return data.decode("cp1252", "replace")


class _Shown(HTMLParser):
    """Collects the visible text, with the line breaks between."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unseen: list[str] = []  # the open elements whose content is not visible
        self.open: collections.Counter[str] = collections.Counter()  # the number of each in `unseen`
        self.breaks = 0  # newlines due before the next text
        self.space = False  # a space is due
        self.preformatted = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "body":
            self.unseen.clear()  # a head that was never closed
            self.open.clear()
        elif tag in _UNSEEN:
            self.unseen.append(tag)
            self.open[tag] += 1
        self._break(tag)
        if tag == "pre":
            self.preformatted += 1
        if tag in ("td", "th"):
            self.space = True

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self._break(tag)  # such as <br/>; a <script/> has no content to leave out

    def handle_endtag(self, tag: str) -> None:
        while self.open[tag]:
            last = self.unseen.pop()
            self.open[last] -= 1
            if last == tag:
                break
        self._break(tag)
        if tag == "pre":
            self.preformatted = max(0, self.preformatted - 1)

    def handle_data(self, data: str) -> None:
        if self.unseen:
            return
        if self.preformatted:
            self._put(data.replace("\r\n", "\n"))
            return
        shown = _SPACE.sub(" ", data)
        if shown.strip(" "):
            self.space = self.space or shown.startswith(" ")
            self._put(shown.strip(" "))
            self.space = shown.endswith(" ")
        elif shown:
            self.space = True

    def text(self) -> str:
        lines = "".join(self.parts).split("\n")
        return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.breaks = max(self.breaks, 2)
        elif tag == "br":
            self.breaks = min(self.breaks + 1, 2)
        elif tag in _LINES:
            self.breaks = max(self.breaks, 1)

    def _put(self, text: str) -> None:
        if self.breaks:
            self.parts.append("\n" * self.breaks)
        elif self.space and self.parts:
            self.parts.append(" ")
        self.parts.append(text)
        self.breaks, self.space = 0, False
