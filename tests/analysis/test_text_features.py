"""Each feature is found where a reader would see it."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.analysis import text_features as module
from numlstm.analysis.text_features import at_ends, features

# A text, a feature, and the feature's value at each character: a digit, or . for 0.
CASES = [
    ("ab\ncde\n", "position in the line", "12.123."),
    ("it's a 'b", "position in the word", "1234.1..1"),
    ("A b. C d", "position in the sentence", "123.1234"),
    ("ab, c1", "inside a word", "11..11"),
    ("a b\nc", "white space", ".1.1."),
    ("a b\nc", "line end", "...1."),
    ("aBC d", "capital letter", ".11.."),
    ("made by", "vowel", ".1.1..1"),
    ("a1 22", "digit", ".1.11"),
    ("a, b!", "punctuation", ".1..1"),
    ("The cat Sat", "capitalised word", "111.....111"),
    ("AB: Cd\nE f\nIt", "line in capitals so far", ".1111........"),
    ('a "b c" d\n\n"e\n\nf', "inside double quotes", "..1111.....111.."),
    ("«a» “b” c", "inside double quotes", "11..11..."),
    ("it's 'a b' c\n'd\ne", "inside single quotes", ".....1111....11.."),
    ("a (b [c] d) e)", "depth of brackets", "..11122111...."),
    ("(a\n\nb", "depth of brackets", "111.."),
    ("a\n  b\n\tc", "indentation", "..122211"),
    ("a # b\nc", "after a # in the line", "..111.."),
    ("a: b\nc", "after a : in the line", ".111.."),
    ("ab c\n  de f\n", "first word of the line", "11...1111..."),
    ("ab\nc\n\nd\ne", "first line after an empty one", "111...11."),
]


@pytest.mark.parametrize(("text", "name", "expected"), CASES, ids=[name for _, name, _ in CASES])
def test_a_feature(text: str, name: str, expected: str) -> None:
    found = [int(value) for value in module._FEATURES[name](text)]
    assert "".join(str(value) if value else "." for value in found) == expected


def test_every_feature_has_its_case_and_a_value_for_each_character() -> None:
    assert {name for _, name, _ in CASES} == set(module._FEATURES)
    for feature in module._FEATURES.values():
        assert [len(feature(text)) for text in ("", "a", "\n", "“한 'b'\r\n")] == [0, 1, 1, 8]


def test_what_hardly_ever_changes_is_left_out() -> None:
    assert "digit" not in features("ab cd 1\n" * 3)
    found = features("ab cd 1\n" * 4)
    assert found["digit"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0] * 4
    assert "depth of brackets" not in found


def test_tokens_have_the_features_of_their_last_character() -> None:
    found = at_ends({"n": np.arange(6.0)}, [2, 0, 3, 1])
    assert found["n"].tolist() == [1, 1, 4, 5]
    assert at_ends({"n": np.arange(2.0)}, [0, 2])["n"].tolist() == [0, 1]
