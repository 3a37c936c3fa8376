"""Splitting text into words: lossless for any text in any pieces, and prose needs few special tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.text.vocab.word_splitting import EOS, JOIN, Cutter, Joiner

any_text = st.text(st.characters(exclude_categories=["Cs"]))
# The characters that the rules treat specially, so that most generated texts exercise a rule.
awkward = st.text(st.sampled_from("ab1 ''\"\"..,,((-)--\n\n\r\t _’s漢é\u0301\u00a0"), max_size=60)

PROSE = """"Well," she said (at 10:30, or so), "it's 1,000.50 -- no: half-past; isn't it?"

'You don't say!' cried Mr. O'Hara... "The dogs' tails wag," he said--"always."
[See p. 12; cf. www-data/x_y and e-mail.] “Curly,” too, ‘isn’t it’ {so}?

New paragraph: snake_case, and/or 3.14% of $5.00!
"""

# A dash with a space before it, and a possessive that looks like a quote.
ODD = [["1,000.50", " ", "--"], ["dogs", JOIN, "'"]]


def cut(text: str) -> list[str]:
    cutter = Cutter()
    return cutter.feed(text) + cutter.end()


@given(st.one_of(any_text, awkward))
def test_nothing_is_lost(text: str) -> None:
    assert Joiner().join(cut(text)) == text


@given(st.lists(st.one_of(any_text, awkward), max_size=5))
def test_several_texts_are_joined_with_nothing_between(texts: list[str]) -> None:
    cutter = Cutter()
    tokens = [token for text in texts for token in cutter.feed(text) + cutter.end()]
    assert Joiner().join(tokens) == "".join(texts)


@given(st.one_of(any_text, awkward).map(lambda text: text * 40), st.lists(st.integers(1, 300)))
def test_pieces_change_nothing(text: str, sizes: list[int]) -> None:
    cutter, tokens, start = Cutter(), [], 0
    for size in [*sizes, len(text)]:
        tokens += cutter.feed(text[start : start + size])
        start += size
    assert tokens + cutter.end() == cut(text)


@given(awkward, st.integers(0, 60))
def test_joining_may_begin_anywhere(text: str, place: int) -> None:
    tokens = cut(text)
    whole = Joiner().join(tokens)
    before = Joiner().join(tokens[:place])
    assert whole == before + Joiner(after=tokens[:place]).join(tokens[place:])


@given(st.lists(st.sampled_from(["a", "the", ",", ".", '"', "'", "(", ")", "-", EOS, JOIN, " ", "'s", "\t"])))
def test_any_tokens_make_a_text(tokens: list[str]) -> None:
    """A model may generate any tokens; splitting their text and joining it again gives the same text."""
    text = Joiner().join(tokens)
    assert Joiner().join(cut(text)) == text


def test_prose_needs_next_to_no_tokens_for_spaces() -> None:
    tokens = cut(PROSE)
    odd = [tokens[n - 1 : n + 2] for n, token in enumerate(tokens) if token == JOIN or token.isspace()]
    assert odd == ODD
    assert Joiner().join(tokens) == PROSE


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The cat, the dog.", ["The", "cat", ",", "the", "dog", "."]),
        ("don't it's o'clock", ["don", "'t", "it", "'s", "o'clock"]),
        ("3.14 and 1,000,000 at 10:30", ["3.14", "and", "1,000,000", "at", "10:30"]),
        ("half-past (so)", ["half", "-", "past", "(", "so", ")"]),
        ('"No," he said. "Yes!"', ['"', "No", ",", '"', "he", "said", ".", '"', "Yes", "!", '"']),
        ("a\n\nb", ["a", EOS, EOS, "b"]),
        ("a\r\nb", ["a", "\r\n", "b"]),
        ("a b  c", ["a", "b", "  ", "c"]),
        ("a ,b", ["a", " ", ",", JOIN, "b"]),
        (" a ", [" ", "a", " "]),
        ("U.S.", ["U", ".", JOIN, "S", "."]),
        ("wait... well--yes", ["wait", "...", "well", "--", "yes"]),
        ("_word_ snake_case", ["_", "word", "_", "snake_case"]),
        ("日本語 text", ["日", "本", "語", " ", "text"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("the dogs' tails", ["the", "dogs", JOIN, "'", "tails"]),
        ("<unk> <eos>", ["<", "unk", ">", JOIN, "<", "eos", ">"]),
    ],
)
def test_what_tokens_are(text: str, tokens: list[str]) -> None:
    found = cut(text)
    assert Joiner().join(found) == text
    if "<" in text:
        assert not {"<unk>", EOS, JOIN} & ({*found} - {JOIN}), "text must not become a special token"
    else:
        assert found == tokens


def test_white_space_without_end_takes_no_memory() -> None:
    cutter, size = Cutter(), 0
    for _ in range(50):
        size += sum(map(len, cutter.feed(" " * 10_000)))
        assert len(cutter.space) + len(cutter.text) < 5000
    assert size + sum(map(len, cutter.end())) == 500_000


def test_no_token_is_longer_than_what_is_held_back() -> None:
    hard = "x" * 1000 + "1." * 500 + "a_" * 500 + "'s" * 300 + "-" * 999 + " " * 999
    tokens = cut(hard)
    assert max(map(len, tokens)) < 200
    assert Joiner().join(tokens) == hard


def test_a_quote_left_open_is_forgotten_at_the_paragraphs_end() -> None:
    tokens = cut('"Left open\n\nand "no" more')
    assert not [token for token in tokens if token == JOIN or token.isspace()]
