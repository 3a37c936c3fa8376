"""Trimming removes the text that Project Gutenberg and Wikisource add, and leaves the work unchanged."""

from __future__ import annotations

import pytest

from numlstm.text.sources.gutenberg import without_gutenberg
from numlstm.text.sources.trim import trimmed
from numlstm.text.sources.wikitext import without_wikitext

BODY = "CHAPTER I\n\nIt rained on the harbour.\n\n    And the gulls\n    were loud.\n\nTHE END\n"

MODERN = (
    "\ufeffThe Project Gutenberg eBook of Rain\n\nThis ebook is for the use of anyone anywhere.\n\nTitle: Rain\n\n"
    "*** START OF THE PROJECT GUTENBERG EBOOK RAIN ***\n\n\n\nProduced by A. Person and the Online Distributed\n"
    "Proofreading Team at https://www.pgdp.net\n\n\n"
    + BODY
    + "\n\n\n*** END OF THE PROJECT GUTENBERG EBOOK RAIN ***\n\n\n    \n"
    "Updated editions will replace the previous one.\n\nSection 1. General Terms\n\nThis website includes how to "
    "subscribe to our email newsletter to hear about new eBooks.\n"
)
OF_2005 = (
    "Project Gutenberg's Rain, by A. Writer\n\nThis eBook is for the use of anyone.\n\n"
    "*** START OF THIS PROJECT GUTENBERG EBOOK RAIN: A VERY\nLONG TITLE THAT IS BROKEN ***\n\n\n"
    "E-text prepared by B. Person\n\n\n\n" + BODY + "\n\nEnd of the Project Gutenberg EBook of Rain, by A. Writer\n\n"
    "*** END OF THIS PROJECT GUTENBERG EBOOK RAIN ***\n\n***** This file should be named 1.txt *****\nSection 1.\n"
    "subscribe to our email\nnewsletter to hear about new eBooks.\n"
)
OF_1994 = (
    "**The Project Gutenberg Etext of Rain, by A. Writer**\n\nCopyright laws are changing all over the world.\n\n"
    "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this here?\n"
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n\n\n\n"
    + BODY
    + "\n\n\nEnd of Project Gutenberg's Etext of Rain\n"
)
OF_1997 = OF_1994.replace("*END*THE SMALL PRINT! FOR", "*END THE SMALL PRINT! FOR").replace(
    "End of Project Gutenberg's Etext", "End of The Project Gutenberg Etext"
)
GLUED = MODERN.replace("*** START OF THE", "***START OF THE").replace("RAIN ***", "RAIN***")
WITHOUT_END_MARK = MODERN.replace("*** END OF THE PROJECT GUTENBERG EBOOK RAIN ***", "")
TRUNCATED = MODERN[: MODERN.index("Section 1.")]


@pytest.mark.parametrize(
    "file",
    [MODERN, OF_2005, OF_1994, OF_1997, GLUED, WITHOUT_END_MARK, TRUNCATED],
    ids=["modern", "2005", "1994", "1997", "glued", "no-end-mark", "truncated"],
)
def test_each_form_leaves_the_book_alone(file):
    assert without_gutenberg(file) == BODY


def test_several_books_and_text_between_them():
    between = "\nMy own diary.\n\n"
    found = without_gutenberg(MODERN + between + OF_1994 + OF_2005)
    assert found.count(BODY) == 3
    assert found.replace(BODY, "").split() == ["My", "own", "diary."]


@pytest.mark.parametrize(
    "text",
    [
        "",
        BODY,
        "He had read of Project Gutenberg in the paper.\n\n*** a star ***\n",
        "The End of the story.\n\nProduced by hand, the chair was fine.\n",
    ],
)
def test_a_text_of_ones_own_is_untouched(text):
    assert without_gutenberg(text) == text


def test_the_notices_within_the_old_shakespeare_go():
    notice = (
        "<<THIS ELECTRONIC VERSION OF THE COMPLETE WORKS OF WILLIAM\nSHAKESPEARE IS COPYRIGHT 1990-1993 BY WORLD "
        "LIBRARY, INC., AND IS\nPROVIDED BY PROJECT GUTENBERG ETEXT.>>\n\n"
    )
    assert without_gutenberg(f"Exit.\n\n{notice}ACT II\n") == "Exit.\n\nACT II\n"


WIKI = """{{머리말
|제목=비
|저자={{저자|누구}}
}}
<!-- 교정 -->
== 1장 ==
비가 '''왔다'''.<ref>옛말</ref> {{ruby|江|강}}은 [[강|넓은 강]]이었다.<br />
:그는 [[집]]에 갔다.

{|
| 표
|}
[https://example.org 바깥] 길. __목차숨김__
[[분류:소설]]
{{PD-old-70}}
"""


def test_wiki_text_leaves_what_the_page_shows():
    assert without_wikitext(WIKI) == "1장\n비가 왔다. 江은 넓은 강이었다.\n그는 집에 갔다.\n\n바깥 길.\n"


def test_what_never_closes_takes_no_time_and_stays():
    assert without_wikitext("{{" * 5000 + "a\n") == "{{" * 5000 + "a\n"
    assert without_wikitext("비" + "[[" * 5000).startswith("비")


def test_trimming_decodes_and_mends_line_ends():
    assert trimmed("\ufeffa\r\nb\rc\n".encode(), "", "x") == "a\nb\nc\n"
    assert trimmed(MODERN.replace("\n", "\r\n").encode(), "gutenberg", "x") == BODY
    assert trimmed(WIKI.encode(), "wikitext", "x").startswith("1장\n")
