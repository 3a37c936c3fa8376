"""Remove what Project Gutenberg adds around a book: header, small print, credits, licence.

Handles the forms of all years: the "small print" of the 1990s, the `***START` and `*** START OF` lines since, the
licence with and without its last sentence, and the notices within the old edition of Shakespeare's works. A text may
hold several books.
"""

from __future__ import annotations

import re

# A marker may span two lines, and say THE, THIS or neither, EBOOK or ETEXT.
_WHAT = r"(?:THE |THIS )?PROJECT GUTENBERG(?:'S)? (?:OF AUSTRALIA )?E(?:BOOK|-?TEXT)"
_START = re.compile(
    rf"^\*{{2,3}} ?START OF {_WHAT}[^\n]*(?:\n(?!\n)[^\n]*\*\*\*)?[^\n]*\n?"
    r"|^\*?\*?\*?END\*? ?(?:OF )?(?:\*? ?)?THE SMALL PRINT[^\n]*\n?",
    re.MULTILINE | re.IGNORECASE,
)
_END = re.compile(
    rf"^(?:\*{{2,3}} ?END OF {_WHAT}"
    r"|\*\*\* ?START: FULL LICENSE ?\*\*\*"
    r"|(?:This is the )?End of (?:the |this )?Project Gutenberg(?:'s)? "
    r"|Updated editions will replace the previous one)",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER = re.compile(
    r"^(?:\ufeff?\*{0,3} ?(?:The |This is the |This is )?Project Gutenberg(?:'s|’s)? (?:E-?Book|E-?text|Edition)\b"
    r"|\ufeff?\*{0,3}Project Gutenberg(?:'s|’s) [^\n]+, by )",
    re.MULTILINE | re.IGNORECASE,
)
_LICENCE_END = re.compile(r"newsletter to hear about\s+new e-?books\.[^\n]*(?:\n|\Z)", re.IGNORECASE)
# Paragraphs at the start that credit who made the file; they are not part of the book.
_CREDITS = re.compile(
    r"\s*(?:(?:This (?:e-?book|e-?text) (?:was |is )?)?(?:Produced|Prepared|Transcribed|Scanned|Typed) by\b"
    r"|E-?text (?:prepared|produced|scanned)\b|This e-?(?:text|book) was (?:produced|prepared|typed|scanned)\b)"
    r"(?:[^\n]+(?:\n|\Z))+",
    re.IGNORECASE,
)
_EMPTY_LINES = re.compile(r"\A(?:[ \t]*\n)+")
_NOTICE = re.compile(r"<<THIS ELECTRONIC VERSION OF THE COMPLETE WORKS.{0,800}?>>\s*", re.DOTALL)


def without_gutenberg(text: str) -> str:
    """Return a text without Project Gutenberg's additions around its books; line ends must be `\\n`.

    A text without such additions is returned unchanged.
    """
    kept, position, found = [], 0, False
    while True:
        start, end = _START.search(text, position), _END.search(text, position)
        if start is None and end is None:
            kept.append(text[position:])
            break
        found = True
        if start is not None and (end is None or start.start() < end.start()):
            kept.append(_before(text[position : start.start()]))
            position = _after_credits(text, start.end())
            continue
        assert end is not None
        kept.append(text[position : end.start()])
        position = _after_licence(text, end.end())
    joined = _NOTICE.sub("", "".join(kept))
    return _EMPTY_LINES.sub("", joined).rstrip() + "\n" if found else joined


def _before(text: str) -> str:
    """Return the text before a header, which extends to the end of `text`."""
    header = _HEADER.search(text)
    return text[: header.start()] if header else ""


def _after_credits(text: str, position: int) -> int:
    while found := _CREDITS.match(text, position):
        position = found.end()
    return position


def _after_licence(text: str, position: int) -> int:
    """Return where a licence ends: after its last sentence, at the next book's header, or at the end of the text."""
    last, header = _LICENCE_END.search(text, position), _next_header(text, position)
    ends = [found for found in (last.end() if last else None, header) if found is not None]
    return min(ends, default=len(text))


def _next_header(text: str, position: int) -> int | None:
    start = _START.search(text, position)
    if start is None:
        return None
    headers = [found.start() for found in _HEADER.finditer(text, position, start.start())]
    return headers[-1] if headers else start.start()
