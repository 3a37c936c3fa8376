"""Word tokens: which words are kept, how unknown words are handled, and that decoding restores the text."""

from __future__ import annotations

import collections
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numlstm.errors import ConfigError, CorpusError
from numlstm.settings.text import TextSettings
from numlstm.text.dataset.corpus import Corpus, load_corpus
from numlstm.text.vocab import word
from numlstm.text.vocab.base import Vocab
from numlstm.text.vocab.from_dict import vocab_from_dict
from numlstm.text.vocab.word import WordBuilder, WordVocab

TEXT = "the cat and the dog and the bird. One dog, two.\n\nthe end\n"
TOKENS = 'he said , " no . "\n\nmr . fogg <unk> it\n'
SIGNS = ("<unk>", "<eos>", "<join>")
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
spaced = st.lists(st.lists(st.sampled_from(["the", "cat", ",", "'", "<unk>", "é"])).map(" ".join)).map("\n".join)


def load(text: str, *level: object, vocab: Vocab | None = None, **options: bool) -> Corpus:
    chosen = TextSettings("word", *level)  # type: ignore[arg-type]
    return load_corpus(["-"], stdin=io.BytesIO(text.encode()), level=chosen, vocab=vocab, **options)  # type: ignore[arg-type]


def vocab_of(corpus: Corpus) -> tuple[str, ...]:
    assert isinstance(corpus.vocab, WordVocab)
    return corpus.vocab.words


@given(texts)
def test_decode_gives_back_what_was_encoded_if_all_is_known(text: str) -> None:
    found = load(text, None, 1)
    assert found.vocab.decode(found.ids) == text
    assert found.unknown == 0
    assert np.array_equal(found.vocab.encode(text), found.ids)


@given(texts, st.lists(st.integers(1, 5)))
def test_decoding_in_pieces(text: str, sizes: list[int]) -> None:
    found = load(text, None, 1)
    decoder, start, parts = found.vocab.decoder(), 0, []
    for size in [*sizes, len(found.ids)]:
        parts.append(decoder.feed(found.ids[start : start + size]))
        start += size
    assert "".join(parts) + decoder.end() == text


@given(spaced)
def test_pretokenised_text_comes_back(text: str) -> None:
    found = load("x\n" + text, None, 1, True)
    assert found.vocab.decode(found.ids) == "x\n" + text


def test_pretokenised_text_is_cut_at_white_space_alone() -> None:
    found = load(TOKENS, None, 1, True)
    said = [found.vocab.words[place] for place in found.ids]  # type: ignore[attr-defined]
    expected = [
        *["he", "said", ",", '"', "no", ".", '"', "<eos>", "<eos>"],
        *["mr", ".", "fogg", "<unk>", "it", "<eos>"],
    ]
    assert said == expected
    assert found.unknown == 1
    assert found.vocab.decode(found.ids) == TOKENS
    assert "<join>" not in vocab_of(found)


def test_without_it_the_same_text_is_cut_otherwise() -> None:
    assert vocab_of(load(TOKENS, None, 1))[:3] == SIGNS
    assert load(TOKENS, None, 1).vocab != load(TOKENS, None, 1, True).vocab


def test_words_are_in_the_order_of_their_frequency() -> None:
    assert vocab_of(load(TEXT, None, 1)) == (*SIGNS, "the", ".", "and", "dog", ",", "One", "bird", "cat", "end", "two")


def test_min_count() -> None:
    assert vocab_of(load(TEXT, None, 2)) == (*SIGNS, "the", ".", "and", "dog")
    assert vocab_of(load(TEXT, None, 3)) == (*SIGNS, "the")


def test_vocab_size_counts_the_signs() -> None:
    found = load(TEXT, 5)
    assert vocab_of(found) == (*SIGNS, "the", ".")
    assert found.unknown == 10  # cat and dog and bird One dog , two end
    assert vocab_of(load(TEXT, 100, 2)) == (*SIGNS, "the", ".", "and", "dog")


def test_by_default_words_occur_twice_and_are_at_most_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vocab_of(load(TEXT)) == (*SIGNS, "the", ".", "and", "dog")
    monkeypatch.setattr(word, "VOCAB_SIZE", 4)
    assert vocab_of(load(TEXT)) == (*SIGNS, "the")
    assert len(vocab_of(load(TEXT, None, 1))) > 4, "a given limit replaces both default limits"


def test_unknown_words_are_one_token_and_counted() -> None:
    vocab = load(TEXT).vocab
    found = load("the zebra and the yak.\n", vocab=vocab)
    assert found.vocab.decode(found.ids) == "the <unk> and the <unk>.\n"
    assert found.unknown == 2
    assert found.dropped == 0


def test_unknown_words_are_dropped_when_told() -> None:
    found = load("the zebra and the yak.\n", vocab=load(TEXT).vocab, drop_unknown=True)
    assert found.vocab.decode(found.ids) == "the and the.\n"
    assert (found.unknown, found.dropped) == (0, 2)


def test_a_text_of_which_nothing_is_known(error_of) -> None:
    assert "no token is in the vocabulary" in error_of(load, "zebra yak", vocab=load(TEXT).vocab)
    assert "no word occurs 2 times" in error_of(load, "all words differ")


def test_a_prompt_leaves_the_space_to_what_follows() -> None:
    vocab = load(TEXT).vocab
    assert vocab.encode_prompt("the dog ").tolist() == vocab.encode("the dog").tolist()
    assert vocab.encode("the dog ").tolist() != vocab.encode("the dog").tolist()
    known = load("a " * 9).vocab
    assert known.decoder(after=known.encode("a")).feed(known.encode("a")) == " a"
    assert known.decoder().feed(known.encode("a")) == "a"


def test_the_sign_for_an_unknown_word_in_a_prompt_is_that_sign() -> None:
    vocab = load("the cat (a cat) sat on the mat, the end. <unk>", None, 1).vocab
    ids = vocab.encode_prompt("the <unk> sat (<unk>) on")
    assert vocab.tokens(ids) == ["the", "<unk>", "sat", "(", "<unk>", ")", "on"]
    assert vocab.tokens(vocab.encode_prompt("the <unk> sat", drop_unknown=True)) == ["the", "sat"]


def test_texts_start_as_if_after_a_line() -> None:
    assert load("a a\n\n").vocab.start_id == 1
    windows = load("a a\r\n\r\n").vocab
    assert windows.decode([windows.start_id]) == "\r\n"


def test_rare_words_are_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word, "_DISTINCT", 50)
    builder = WordBuilder(10, None, False)
    for n in range(1000):
        builder.feed(f"the cat w{n} and w{n + 5000} the ")
        assert len(builder.counts) <= 50
    builder.end()
    assert builder.build().words == (*SIGNS, "the", *builder.build().words[4:])
    assert {"the", "cat", "and"} <= set(builder.build().words)


def test_the_counts_are_those_of_the_text() -> None:
    builder = WordBuilder(None, 1, True)
    for piece in ("a b", "c a", " a\n"):
        builder.feed(piece)
    builder.end()
    assert builder.counts == collections.Counter({"a": 3, "bc": 1, "<eos>": 1})


def test_text_without_spaces_is_not_pretokenised(error_of) -> None:
    assert "characters without white space" in error_of(load, "x" * 70_000, None, 1, True)


def test_dict_form_survives_json() -> None:
    for vocab in (load(TEXT).vocab, load(TOKENS, None, 1, True).vocab):
        assert vocab_from_dict(json.loads(json.dumps(vocab.to_dict()))) == vocab
    assert load("a a").vocab.to_dict() == {"level": "word", "words": [*SIGNS, "a"], "pretokenised": False}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"words": [*SIGNS, "a"]}, "holds level, words; expected level, words, pretokenised"),
        ({"words": [*SIGNS, "a", "a"], "pretokenised": False}, "occurs twice"),
        ({"words": ["a"], "pretokenised": False}, "begins with"),
        ({"words": ["<unk>", "<eos>", "a"], "pretokenised": False}, "begins with"),
        ({"words": [*SIGNS, 1], "pretokenised": False}, "expected a list of words"),
        ({"words": [*SIGNS, ""], "pretokenised": False}, "expected a list of words"),
        ({"words": "abc", "pretokenised": False}, "expected a list of words"),
        ({"words": [*SIGNS, "a\ud800"], "pretokenised": False}, "U+D800, a lone surrogate"),
        ({"words": [*SIGNS, "a"], "pretokenised": 1}, "expected true or false"),
    ],
)
def test_malformed_dict_is_refused(values: dict[str, object], expected: str, error_of) -> None:
    assert expected in error_of(vocab_from_dict, {"level": "word", **values})


def test_words_that_no_weights_file_could_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word, "_JSON_SIZE", 60)
    WordVocab((*SIGNS, "a"))
    with pytest.raises(CorpusError, match="lower `vocab_size` or raise `min_count`"):
        WordVocab((*SIGNS, "a" * 60))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"level": "line"}, "`level` is 'line'; expected char, byte or word"),
        (
            {"level": "char", "vocab_size": 9},
            "`vocab_size` is 9 but `level` is char; expected it only with `level` word",
        ),
        ({"level": "byte", "min_count": 9}, "`min_count` is 9 but `level` is byte"),
        ({"level": "char", "pretokenised": True}, "`pretokenised` is True but `level` is char"),
        ({"level": "word", "vocab_size": 3}, "`vocab_size` is 3; expected a whole number from 4"),
        ({"level": "word", "min_count": 0}, "`min_count` is 0; expected a whole number from 1"),
    ],
)
def test_levels_that_make_no_sense(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TextSettings(**settings)  # type: ignore[arg-type]
    assert expected in str(caught.value)


def test_line_ends_alone_are_a_text() -> None:
    found = load("\n\n", None, 1)
    assert found.vocab.decode(found.ids) == "\n\n"
