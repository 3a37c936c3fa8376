"""Clean a text: Project Gutenberg's additions, control characters, white space, Unicode normal forms.

Each step reports what it removed.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import unicodedata

from ..errors import ConfigError
from ..text.sources.gutenberg import without_gutenberg

NORMAL_FORMS = ("NFC", "NFKC")

# Other line separators: the teletypes' VT and FF, the mainframes' NEL, and Unicode's own.
_LINE_ENDS = re.compile("[\x0b\x0c\x85\u2028\u2029]")
# Without the joiners U+200C and U+200D, which Persian and emoji need.
_CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff]"
)
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_AT_LINE_ENDS = re.compile(r"(?<![ \t])[ \t]+$", re.MULTILINE)  # the lookbehind scans a long run only once
_EMPTY_LINES = re.compile(r"\n{4,}")
_SHOWN = 6  # kinds of control characters that are listed


@dataclasses.dataclass(frozen=True)
class Steps:
    """The cleaning steps to run; `normal_form` is "NFC", "NFKC" or None."""

    gutenberg: bool = True
    controls: bool = True
    space: bool = True
    normal_form: str | None = None

    def __post_init__(self) -> None:
        if self.normal_form is not None and self.normal_form not in NORMAL_FORMS:
            raise ConfigError(f"--normalise is {self.normal_form!r}; expected {' or '.join(NORMAL_FORMS)}")


def clean(text: str, steps: Steps) -> tuple[str, list[str]]:
    """Return the cleaned text, with `\\n` line ends, and one line on each change made."""
    found: list[str] = []
    text = _line_ends(text, found)
    for wanted, step in ((steps.gutenberg, _gutenberg), (steps.controls, _controls), (steps.space, _space)):
        if wanted:
            text = step(text, found)
    if steps.normal_form:
        text = _normalised(text, steps.normal_form, found)
    return text, found


def _line_ends(text: str, found: list[str]) -> str:
    windows = text.count("\r\n")
    text = text.replace("\r\n", "\n")
    old = text.count("\r")
    kinds = [f"{count:,} {name}" for count, name in ((windows, "CRLF"), (old, "CR")) if count]
    if kinds:
        found.append(f"line ends: {' and '.join(kinds)} became LF")
    return text.replace("\r", "\n")


def _gutenberg(text: str, found: list[str]) -> str:
    without = without_gutenberg(text)
    if without != text:
        found.append(f"Project Gutenberg's header, licence and notices: {len(text) - len(without):,} characters")
    return without


def _controls(text: str, found: list[str]) -> str:
    text, ends = _LINE_ENDS.subn("\n", text)
    if ends:
        found.append(f"form feeds and other line separators: {ends:,} became line ends")
    counts = collections.Counter(_CONTROLS.findall(text))
    if counts:
        kinds = [f"U+{ord(symbol):04X} × {count:,}" for symbol, count in counts.most_common(_SHOWN)]
        more = f" and {len(counts) - _SHOWN} more kinds" if len(counts) > _SHOWN else ""
        found.append(f"control and invisible characters: {counts.total():,} ({', '.join(kinds)}{more})")
    return _CONTROLS.sub("", text)


def _space(text: str, found: list[str]) -> str:
    before = len(text)
    text, plain = _SPACES.subn(" ", text)
    if plain:
        spaces = "special space became a plain one" if plain == 1 else "special spaces became plain ones"
        found.append(f"white space: {plain:,} {spaces}")
    ended = text.endswith("\n")
    text = _EMPTY_LINES.sub("\n\n\n", _AT_LINE_ENDS.sub("", text))
    text = re.sub(r"\A\n+", "", text).rstrip()
    if text:
        text += "\n"
        before += not ended
    if len(text) < before:
        found.append(f"white space: {before - len(text):,} characters, at line ends and in runs of empty lines")
    elif not ended and text:
        found.append("white space: the last line got a line end")
    return text


def _normalised(text: str, form: str, found: list[str]) -> str:
    normal = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    if normal != text:
        kinds, fewer = len(set(text) - set(normal)), len(text) - len(normal)
        length = f", {abs(fewer):,} {'fewer' if fewer > 0 else 'more'} characters in all" if fewer else ""
        found.append(f"{form}: {kinds:,} distinct characters replaced{length}")
    return normal
