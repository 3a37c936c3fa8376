"""Convert the wikitext of a Wikisource page to the plain text of the work.

Templates, categories, references, tags and comments are removed; links keep their visible text. Meant for stories and
poems, not for tables.
"""

from __future__ import annotations

import re

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_REFERENCE = re.compile(r"<ref\b[^>]*/>|<ref\b.*?(?:</ref>|\Z)", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(r"<br\b[^>]*>\n?|</p>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_INNERMOST = re.compile(r"\{\{[^{}]*\}\}|\{\|[^{}]*\|\}")
_SHOWN = re.compile(
    r"\{\{(?:ruby|루비|sic|틀린 글자|lang|더 크게|더크게|크게|작게|larger|smaller|center|가운데)\|([^{}]*)\}\}",
    re.IGNORECASE,
)
_APART = re.compile(r"\[\[(?:분류|파일|그림|category|file|image)\s*:[^\[\]]*\]\]\n?", re.IGNORECASE)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_OUTSIDE = re.compile(r"\[(?:https?:)?//\S+(?: ([^\]\n]*))?\]")
_HEADING = re.compile(r"^(=+)[ \t]*(.*?)[ \t]*\1[ \t]*$", re.MULTILINE)
_MARK = re.compile(r"^[:*#;]+[ \t]*", re.MULTILINE)
_SWITCH = re.compile(r"__[A-Z가-힣]+__")
_DEEPEST = 40  # levels of nested templates


def without_wikitext(text: str) -> str:
    """Return the visible text of a wiki page; line ends must be `\\n`."""
    for pattern, instead in ((_COMMENT, ""), (_REFERENCE, ""), (_BREAK, "\n")):
        text = pattern.sub(instead, text)
    for _ in range(_DEEPEST):
        before = text
        text = _INNERMOST.sub("", _SHOWN.sub(_shown, text))
        if text == before:
            break
    for pattern, instead in ((_APART, ""), (_LINK, r"\1"), (_OUTSIDE, r"\1"), (_HEADING, r"\2"), (_MARK, "")):
        text = pattern.sub(instead, text)
    text = re.sub(r"'{2,5}", "", _SWITCH.sub("", _TAG.sub("", text)))
    text = text.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)).strip("\n") + "\n"


def _shown(found: re.Match[str]) -> str:
    """Return the visible argument of a template: the last one of `lang`, else the first: `{{ruby|text|reading}}`."""
    given = found[1].split("|")
    is_language = found[0].lower().startswith("{{lang|")
    return given[-1] if is_language else given[0]
