"""Generation under every control, by networks over characters, bytes and words."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from numlstm.errors import ConfigError, CorpusError
from numlstm.generation.beam import search
from numlstm.generation.text_probabilities import log_probabilities
from numlstm.generation.writing import Writing, generate
from numlstm.model import Model
from numlstm.settings.sampling import SamplingSettings
from numlstm.text.vocab.byte import ByteVocab
from numlstm.text.vocab.char import CharVocab
from numlstm.text.vocab.word import WordBuilder

SYMBOLS = "\n ,abcde"


def words(pretokenised=False):
    builder = WordBuilder(None, 1, pretokenised)
    builder.feed("An apple, a bee and 'the cat' came;\nbees don't eat dogs. The end (of it) - and-so on\n" * 3)
    builder.end()
    return builder.build()


VOCABS = {"char": CharVocab(SYMBOLS), "byte": ByteVocab(), "word": words(), "tokens": words(True)}


@pytest.fixture(params=VOCABS)
def model(request):
    """An untrained network that generates fairly random text."""
    return make(request.param)


def make(level, seed=1):
    vocab = VOCABS[level]
    return Model.create(len(vocab), (6,), seed=seed, device="reference", vocab=vocab)


def test_what_is_banned_is_in_no_text(model):
    usual = model.generate("a", length=150, temperature=1.0, seed=1)
    common = [usual[n : n + size] for n, size in ((20, 2), (50, 1), (70, 3), (90, 2))]
    texts = model.generate_many(["a", "bee", ""], length=150, temperature=1.0, seed=1, ban=common)
    assert all(each in usual for each in common)
    for prompt, text in zip(["a", "bee", ""], texts, strict=True):
        assert text
        for banned in common:
            assert banned not in prompt[len(prompt) - len(banned) + 1 :] + text


def test_a_ban_holds_where_prompt_and_text_meet():
    model = make("char")
    (after,) = {model.generate("ab", length=1, temperature=0)}
    text = model.generate("ab", length=1, temperature=0, ban=["b" + after])
    assert text != after
    assert model.generate("ab", length=1, temperature=0, ban=["a" + after]) == after


@pytest.mark.parametrize("initials_of", ["line", "word"])
def test_initials(model, initials_of):
    letters = "Abe"
    for seed in range(3):
        config = SamplingSettings(600, 1.0, seed, initials=letters, initials_of=initials_of)
        (written,) = Writing(model, [""], config).all()
        found = written.text.split("\n") if initials_of == "line" else re.findall(r"[^\W_][^\W_'’]*", written.text)
        found = [each for each in found if each]
        assert written.missing == 3 - len(found)
        assert [each[0].lower() for each in found] == list("abe")[: len(found)]
        if model.vocab.level == "char":
            assert written.missing == 0


def test_what_the_model_never_learned_is_left_out_only_if_asked_for():
    config = SamplingSettings(5, 0.0)
    with pytest.raises(CorpusError, match="☃"):
        Writing(make("char"), ["a☃b"], config)
    (written,) = Writing(make("char"), ["a☃b"], config, drop_unknown=True).all()
    assert written.text == make("char").generate("ab", length=5, temperature=0)


def test_all_ruled_out_is_one_line():
    with pytest.raises(ConfigError, match="no token is allowed after 'ab'"):
        make("char").generate("ab", ban=list(SYMBOLS))


def test_each_text_ends_before_its_own_stop(model):
    usual = model.generate_many(["a"] * 5, length=200, temperature=1.0, seed=3)
    stops = [usual[0][60:62], usual[1][30:31], "never in it"]
    expected = [text[: min(text.find(s) % 10**6 for s in stops)] for text in usual]
    assert len({len(text) for text in expected}) > 1
    assert model.generate_many(["a"] * 5, length=200, temperature=1.0, seed=3, stop=stops) == expected
    assert model.generate("a", length=200, temperature=1.0, seed=3, stop=stops) == expected[0]
    config = SamplingSettings(200, 1.0, 3, stop=tuple(stops))
    if model.vocab.unknown_id is None:
        assert "".join(generate(model, "a", config)) == expected[0]
    for written in Writing(model, ["a"] * 5, config).all():
        said = model.vocab.decoder(after=written.prompt_ids)
        parts = [said.feed([token]) for token in written.ids]
        assert "".join(parts).startswith(written.text)
        assert len("".join(parts[:-1])) < max(1, len(written.text)), "ids contains tokens beyond the text"


SETTINGS = [
    {"top_k": 2},
    {"top_p": 0.7},
    {"min_p": 0.9},
    {"repetition_penalty": 50.0},
    {"repetition_penalty": 50.0, "penalty_window": 3},
    {"ban": ["a", "b"]},
    {"initials": "abc"},
    {"stop": ["a"]},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_control_changes_the_text_and_a_seed_gives_one_text(settings):
    """The text is also the same in a batch and on another device."""
    model = make("char")
    how = {"length": 60, "temperature": 1.0, "seed": 2}
    text = model.generate("ab", **how, **settings)
    assert text != model.generate("ab", **how)
    assert model.generate_many(["ab", "c", "ab"], **how, **settings)[0] == text
    same = Model.create(len(SYMBOLS), (6,), seed=1, device="cpu", vocab=VOCABS["char"])
    many = same.generate_many(["ab", "c", "ab"], **how, **settings)
    assert many == model.generate_many(["ab", "c", "ab"], **how, **settings)
    assert same.generate("ab", **how, **settings) == text


def test_a_window_of_the_penalty_reaches_into_the_prompt():
    model = make("char")
    settings = {"length": 1, "temperature": 0, "repetition_penalty": 100.0}
    prompts = (x + a + b for x, a, b in itertools.product(SYMBOLS, repeat=3) if x not in a + b)
    prompt = next(p for p in prompts if model.generate(p, length=1, temperature=0) == p[0])
    likeliest = prompt[0]
    assert model.generate(prompt, **settings) != likeliest
    assert model.generate(prompt, **settings, penalty_window=2) == likeliest


def test_log_probabilities_are_those_of_the_network(model):
    ids = model.vocab.encode("An apple" if model.vocab.level == "word" else "ab, cab")
    logits, _ = model.logits(np.array([model.vocab.start_id, *ids])[:, None])
    chances = np.exp(logits[:, 0].astype(float))
    expected = np.log(chances / chances.sum(axis=1, keepdims=True))[np.arange(len(ids)), ids]
    for n in (0, 1, 3):
        np.testing.assert_allclose(log_probabilities(model, ids[:n], ids[n:]), expected[n:], rtol=1e-5)
    assert log_probabilities(model, ids, []).shape == (0,)


def all_texts(model, prompt, length, ok=lambda text: True):
    """Yield each text of this length with its log-probability, from a full pass of the network."""
    before = model.vocab.encode(prompt)
    for ids in itertools.product(range(len(SYMBOLS)), repeat=length):
        text = model.vocab.decode(list(ids))
        if ok(prompt + text):
            yield log_probabilities(model, before, ids).sum(), text


def test_a_wide_beam_finds_the_likeliest_text_of_all():
    model = make("char", seed=3)
    best = max(all_texts(model, "ab", 3))[1]
    assert search(model, "ab", SamplingSettings(3), 8**2).text == best
    greedy = model.generate("ab", length=3, temperature=0)
    assert search(model, "ab", SamplingSettings(3), 1).text == greedy


def test_a_beam_heeds_rules_and_stops():
    model = make("char", seed=3)
    best = max(all_texts(model, "ab", 3))[1]
    banned = best[1:]
    found = search(model, "ab", SamplingSettings(3, ban=(banned,)), 8**2).text
    assert found == max(all_texts(model, "ab", 3, lambda text: banned not in text[-4:]))[1]
    ended = search(model, "ab", SamplingSettings(3, stop=(best[2],)), 8**2)
    assert best[2] not in ended.text
    text = search(model, "ab ", SamplingSettings(40, initials="abc", initials_of="word"), 4).text
    assert [word[0] for word in re.findall("[a-e]+", text)] == list("abc")[: len(re.findall("[a-e]+", text))]
    assert text


def test_a_beam_goes_on_where_one_of_its_texts_cannot():
    """Nothing may follow "a", but "b" can still be continued."""
    vocab = CharVocab("ab")
    for seed in range(5):
        model = Model.create(2, (6,), seed=seed, device="reference", vocab=vocab)
        assert search(model, "", SamplingSettings(4, ban=("aa", "ab")), 2).text in ("bbbb", "bbba")
    with pytest.raises(ConfigError, match="no token is allowed after"):
        search(model, "", SamplingSettings(4, ban=("a", "b")), 2)
