"""Cleaning removes what the steps name, reports what it removed, and changes nothing else."""

from __future__ import annotations

import time
import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest

from numlstm.corpus_tools.clean import Steps, clean
from numlstm.errors import ConfigError

ALL = Steps(normal_form="NFC")
NONE = Steps(gutenberg=False, controls=False, space=False)
BOOK = (
    "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nBody.\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nMore.\n"
)


def test_a_clean_text_is_untouched():
    text = "One\n\n\nTwo é 한글 👩\u200d🌾\n\tset in\n"
    assert clean(text, ALL) == (text, [])


def test_line_ends_become_unix_ones():
    text, said = clean("a\r\nb\rc\n", NONE)
    assert text == "a\nb\nc\n"
    assert said == ["line ends: 1 CRLF and 1 CR became LF"]


def test_gutenberg_goes_or_stays():
    assert clean(BOOK, Steps())[0] == "Body.\n"
    assert "characters" in clean(BOOK, Steps())[1][0]
    assert clean(BOOK, Steps(gutenberg=False)) == (BOOK, [])


def test_controls_go_or_stay():
    text = "a\x00\x00b\x1b\u200bc\x0cd\u2028e\xadf\n"
    assert clean(text, Steps())[0] == "abc\nd\nef\n"
    said = clean(text, Steps())[1]
    assert said[0] == "form feeds and other line separators: 2 became line ends"
    assert said[1].startswith("control and invisible characters: 5 (U+0000 × 2, U+001B × 1,")
    assert clean(text, Steps(controls=False)) == (text, [])


def test_space_goes_or_stays():
    text = "\n\n a\u00a0b  \t\n\n\n\n\n\nc\u3000d\n\n"
    assert clean(text, Steps())[0] == " a b\n\n\nc\u3000d\n"
    assert clean(text, Steps(space=False)) == (text, [])
    assert clean(" \n \n", Steps())[0] == ""


def test_normal_forms():
    text = "e\u0301 ﬁ Ａ \u1112\u1161\u11ab\n"
    assert clean(text, Steps())[0] == text
    nfc, said = clean(text, Steps(normal_form="NFC"))
    assert nfc == "é ﬁ Ａ 한\n"
    assert said[0].startswith("NFC: ")
    assert said[0].endswith("3 fewer characters in all")
    assert clean(text, Steps(normal_form="NFKC"))[0] == "é fi A 한\n"
    with pytest.raises(ConfigError, match="--normalise is 'NFD'; expected NFC or NFKC"):
        Steps(normal_form="NFD")


@hypothesis.given(st.text(st.characters(codec="utf-8"), max_size=60))
@hypothesis.settings(max_examples=150)
def test_cleaning_twice_is_cleaning_once(text):
    once, said = clean(text, ALL)
    assert clean(once, ALL) == (once, [])
    assert bool(said) or once == text
    assert unicodedata.is_normalized("NFC", once)
    assert not once or once.endswith("\n")


def test_a_long_row_of_spaces_takes_no_time():
    text = f"a{' ' * 200_000}b  \n"
    began = time.process_time()
    assert clean(text, Steps())[0] == f"a{' ' * 200_000}b\n"
    assert time.process_time() - began < 2  # a minute if each space is tried as a start
