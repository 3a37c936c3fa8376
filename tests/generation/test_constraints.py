"""Text constraints: banned strings and the initials of lines and words, however the text is split into tokens."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.errors import ConfigError
from numlstm.generation.constraints import Ban, Initials, rules
from numlstm.generation.stop_texts import Stops
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.word import WordBuilder

PIECES = st.lists(st.text("ab", max_size=4), max_size=8)


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=3), PIECES)
def test_a_text_ends_before_the_first_of_its_stops(stops, pieces):
    ends, said, ended = Stops(stops), [], False
    for piece in pieces:
        text, ended = ends.feed(piece)
        said.append(text)
        if ended:
            break
    else:
        said.append(ends.end())
    whole = "".join(pieces)
    heads = (whole[:n] for n in range(len(whole) + 1))
    complete = next((head for head in heads if head.endswith(tuple(stops))), None) if stops else None
    assert ended == (complete is not None)
    longest = max((len(stop) for stop in stops if complete is not None and complete.endswith(stop)), default=0)
    assert "".join(said) == (whole if complete is None else complete[: len(complete) - longest])


def test_what_may_begin_a_stop_is_held_back_and_no_more():
    stops = Stops(["\n\n", "END"])
    assert stops.feed("one\n") == ("one", False)
    assert stops.feed("two EN") == ("\ntwo ", False)
    assert stops.feed("emy") == ("ENemy", False)


@given(st.text("ab", min_size=1, max_size=4), st.text("ab", max_size=6), st.integers(0, 2**32))
def test_what_is_banned_never_comes_and_nothing_else_is_ruled_out(banned, before, seed):
    rule, text, additions = Ban(banned, before), before, ["a", "b", "ab", "ba", "", None]
    for _ in range(12):
        may = rule.permits(additions)
        for addition, ok in zip(additions, may, strict=True):
            new = (
                None
                if addition is None
                else (text + addition)[-(len(banned) - 1 + len(addition)) :]
                if addition
                else ""
            )
            assert ok == (new is not None and banned not in new)
        choices = [a for a, ok in zip(additions, may, strict=True) if ok and a]
        if not choices:
            return
        seed, choice = divmod(seed, len(choices))
        rule.take(choices[choice])
        text += choices[choice]
    assert banned not in text[len(before) :]


def walk(rule, symbols, seed, steps=80):
    """Return a text of permitted tokens chosen by the seed, and whether the rule ended it within `steps`."""
    said = ""
    for n in range(steps):
        may = [s for s, ok in zip(symbols, rule.permits(symbols), strict=True) if ok]
        assert may, f"a dead end after {said!r}"
        text, ended = rule.take(may[(seed >> n) % len(may)])
        said += text
        if ended:
            return said, True
    return said, False


ADDITIONS = ["a", "B", "c", "A", " ", "\n", ",", "'", "b c", " a", "cab", "-", " (", "ca\nb", "a\nc"]


@given(st.integers(0, 2**90))
def test_every_line_begins_with_its_letter(seed):
    rule = Initials("a bc", False, "")
    text, ended = walk(rule, ADDITIONS, seed)
    lines = text.split("\n")
    assert [line[:1].lower() for line in lines if line] == list("abc")[: len([line for line in lines if line])]
    assert all(lines[:-1]), "only the last line may be empty"
    assert len(lines) <= 3
    assert rule.missing == 3 - len([line for line in lines if line])
    assert not ended or rule.missing == 0


@given(st.integers(0, 2**90))
def test_every_word_begins_with_its_letter(seed):
    rule = Initials("abca", True, "")
    text, ended = walk(rule, ADDITIONS, seed)
    words = re.findall(r"\w[\w']*", text)
    assert [word[0].lower() for word in words] == list("abca")[: len(words)]
    assert rule.missing == 4 - len(words)
    assert not ended or (len(words) == 4 and text.endswith(words[-1]))
    assert not re.search(r"[^\w']{6}", text)


def test_what_was_begun_before_is_ended_first():
    line = Initials("a", False, "ROMEO: ")
    assert line.permits(["x", "\nb", "\na"]).tolist() == [True, False, True]
    assert line.take("xyz\nab\nc") == ("xyz\nab", True)
    assert Initials("a", False, "ROMEO:\n").permits(["x", "a"]).tolist() == [False, True]
    word = Initials("a", True, "He")
    assert word.permits(["b", " b", " a"]).tolist() == [True, False, True]
    assert Initials("a", True, "Hello, ").permits(["b", "a", "A"]).tolist() == [False, True, True]


def test_the_first_bytes_of_a_letter_may_come_and_those_of_others_not():
    decoder, rule = ByteVocab().decoder(), Initials("é", False, "")
    may = rule.permits(decoder.peek())
    assert [value for value in range(256) if may[value]] == [0xC3]
    decoder.feed([0xC3])
    may = rule.permits(decoder.peek())
    assert [value for value in range(256) if may[value]] == [0x89, 0xA9], "the second bytes of É and é"


def test_initials_that_no_token_begins_with():
    words = WordBuilder(None, 1, False)
    words.feed("apple, pear")
    words.end()
    for vocab, unit in ((CharVocab("\n aP"), "character"), (words.build(), "token")):
        assert len(rules(vocab, "", ["x"], "Ap", "word")) == 2
        with pytest.raises(ConfigError, match=f"no {unit} of the vocabulary begins with '[Xx]'"):
            rules(vocab, "", [], "axp", "line")
    with pytest.raises(ConfigError, match="initials contain '!'; expected letters"):
        rules(CharVocab("!a"), "", [], "a!", "line")


@pytest.mark.parametrize("words", [False, True])
def test_initials_of_white_space_alone_are_refused(words):
    with pytest.raises(ConfigError, match="initials are '  '; expected letters or digits"):
        rules(CharVocab("\n a"), "", [], "  ", "word" if words else "line")
