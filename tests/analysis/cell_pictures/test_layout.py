"""The layout of tokens in lines, and their colours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.analysis.cell_pictures.layout import LEVELS, Glyph, colour, columns, ink, level, lines


def test_lines_break_at_line_ends_and_at_spaces() -> None:
    found = lines(list("the cat\nsat on a mat\n"), 10)
    assert ["".join(glyph.text for glyph in line) for line in found] == ["the cat↵", "sat on a ", "mat↵"]
    assert [glyph.column for glyph in found[2]] == [0, 1, 2, 3]
    assert [glyph.unit for glyph in found[1]] == list(range(8, 17))


def test_a_line_that_is_full_keeps_its_end() -> None:
    found = lines(list("abcdefghij\nk"), 10)
    assert ["".join(glyph.text for glyph in line) for line in found] == ["abcdefghij↵", "k"]


def test_wide_and_combining_characters() -> None:
    assert [columns(text) for text in ("a", "한", "e\u0301", "\u00e9", "")] == [1, 2, 1, 1, 0]
    (line,) = lines(["e", "\u0301", "한", "x"], 10)
    assert line == [Glyph(0, 1, "e\u0301", 1), Glyph(1, 2, "한", 2), Glyph(3, 1, "x", 3)]
    assert [[glyph.column for glyph in line] for line in lines(["한"] * 5, 4)] == [[0, 2], [0, 2], [0]]


def test_words_and_tokens_with_line_ends_in_them() -> None:
    found = lines(["The", " cat", "\n\n", " " * 25], 10)
    assert [[glyph.text for glyph in line] for line in found] == [
        ["The", " cat", "↵"],
        ["↵"],
        [" " * 5] * 2,
        [" " * 5] * 2,
        [" " * 5],
    ]
    assert {glyph.unit for line in found[2:] for glyph in line} == {3}
    assert lines([], 10) == [[]]


@given(st.lists(st.text(min_size=1, max_size=15), max_size=40), st.integers(4, 20))
def test_nothing_is_lost_and_no_line_is_too_long(units: list[str], width: int) -> None:
    found = lines(units, width)
    glyphs = [glyph for line in found for glyph in line]
    places = [glyph.unit for glyph in glyphs]
    assert places == sorted(places)
    assert sum(glyph.text.count("↵") for glyph in glyphs) >= sum(unit.count("\n") for unit in units)
    for line in found:
        column = 0
        for glyph in line:
            assert glyph.column == column
            column += glyph.columns
        assert column <= width + 1, "only a line end may exceed the width, by one column"


def luminance(of: tuple[int, int, int]) -> float:
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in of]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_colours_run_from_blue_to_red_and_can_be_written_on() -> None:
    assert [level(value) for value in (-5.0, -1.0, 0.0, 0.04, 1.0, 2.0)] == [-LEVELS, -LEVELS, 0, 1, LEVELS, LEVELS]
    assert (colour(-LEVELS), colour(0), colour(LEVELS)) == ((0x21, 0x66, 0xAC), (0xF7, 0xF7, 0xF7), (0xB2, 0x18, 0x2B))
    brightness = [luminance(colour(step)) for step in range(LEVELS + 1)]
    assert brightness == sorted(brightness, reverse=True), "brightness alone must show the strength"
    brightness = [luminance(colour(-step)) for step in range(LEVELS + 1)]
    assert brightness == sorted(brightness, reverse=True)
    for step in range(-LEVELS, LEVELS + 1):
        light, dark = sorted((luminance(colour(step)), luminance(ink(step))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.5, step


@pytest.mark.parametrize("unit", ["\r\n", "\u2028", "\x0b", "\x85"])
def test_odd_line_ends_do_not_break_the_layout(unit: str) -> None:
    found = lines(["a", unit, "b"], 10)
    assert [glyph.unit for line in found for glyph in line] == [0, 1, 2]


def test_a_long_word_after_one_that_was_moved_does_not_leave_the_line() -> None:
    found = lines(["a ", "b ", "c ", "d ", "ee", "f" * 19], 20)
    assert [[glyph.text for glyph in line] for line in found] == [["a ", "b ", "c ", "d "], ["ee"], ["f" * 19]]
    assert [glyph.column for line in found for glyph in line] == [0, 2, 4, 6, 0, 0]
