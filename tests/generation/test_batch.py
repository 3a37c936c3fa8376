"""Texts may join and leave a batch at any time without changing one another."""

from __future__ import annotations

import time

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.errors import BackendError
from numlstm.generation import token_probabilities
from numlstm.generation.batch import Batch
from numlstm.generation.sequence import Text
from numlstm.generation.text_probabilities import log_probabilities
from numlstm.model import Model
from numlstm.settings.sampling import SamplingSettings
from numlstm.text.vocab.char import CharVocab

SYMBOLS = "\nabcdefgh "


# The reference takes ten times as long as the kernels for these texts.
DEVICES = [pytest.param(name, marks=pytest.mark.slow) if name == "reference" else name for name in registry.names()]


@pytest.fixture(scope="module", params=DEVICES)
def model(request):
    """A two-layer network with uncertain predictions, on each available device."""
    try:
        made = Model.create(len(SYMBOLS), (19, 7), seed=1, device=request.param, vocab=CharVocab(SYMBOLS))
    except BackendError as error:
        pytest.skip(str(error))
    made.set_params({name: 3 * values for name, values in made.params.items()})
    return made


SETTINGS = (
    {},
    {"top_k": 3},
    {"top_p": 0.8, "repetition_penalty": 1.5},
    {"min_p": 0.1, "stop": ("ab", "g")},
    {"repetition_penalty": 2.0, "penalty_window": 5},
    {"ban": ("a", "cd")},
    {"temperature": 0.0},
    {"initials": "abc"},
)


def order(n):
    """Return the prompt, settings and number of text n; prompt, length, seed and settings vary with n."""
    rng = np.random.default_rng(n)
    prompt = "".join(rng.choice(list(SYMBOLS), int(rng.choice([0, 1, 7, 90, 600]))))
    settings = {"temperature": 0.3 + n % 5 / 4, **SETTINGS[n % len(SETTINGS)]}
    return prompt, SamplingSettings(int(rng.integers(0, 90)), seed=n % 3, **settings), n % 4


def make(model, n, **more):
    prompt, config, number = order(n)
    return Text(number, model.vocab, prompt, config, False, **more)


def alone(model, n, **more):
    batch, text = Batch(model), make(model, n, **more)
    batch.add(text)
    while batch:
        batch.turn()
    return text


def crowd(model, texts, seed):
    """Generate the texts in one batch; each joins at a random turn, and some of every third leave at one."""
    rng, batch, joined, ended = np.random.default_rng(seed), Batch(model, 0.001), [], {}
    waiting = list(texts)
    while waiting or batch:
        for _ in range(rng.integers(0, 4)):
            if waiting:
                batch.add(text := waiting.pop(0))
                joined.append(text)
        if len(batch) > 3 and rng.random() < 0.2:
            gone = [text for text in joined if texts.index(text) % 3 == 2 and not text.over]
            for text in gone[:1]:
                batch.remove(text)
                joined.remove(text)
        turn = batch.turn()
        assert len({text for text, _ in turn}) == len(turn), "a text occurs twice in a turn"
        for text, piece in turn:
            assert text in joined
            ended[text] = ended.get(text, "") + piece
    return ended


def test_a_text_does_not_depend_on_who_joins_and_leaves(model):
    texts = [make(model, n) for n in range(40)]
    said = crowd(model, texts, seed=0)
    whole = [n for n, text in enumerate(texts) if text.over]
    assert len(whole) > 25
    left = [n for n in range(40) if n not in whole]
    assert left, "no text left before its end"
    for n, text in enumerate(texts):
        expected = alone(model, n).written()
        if n in left:
            assert expected.text.startswith(text.written().text)
        else:
            assert text.written().text == expected.text == said[text]
            np.testing.assert_array_equal(text.written().ids, expected.ids)


def test_what_is_told_of_tokens_does_not_either(model):
    """Token probabilities do not depend on the batch (on the CPU, to the bit), and match `log_probabilities`."""
    wanted = [{"likeliest": n % 3, "echo": n % 2 == 0} if n % 4 else {} for n in range(24)]
    texts = [make(model, n, **each) for n, each in enumerate(wanted)]
    crowd(model, texts, seed=1)
    for n, (text, each) in enumerate(zip(texts, wanted, strict=True)):
        if not text.over:
            continue
        assert bool(text.chances) == bool(each) * bool(text.drawn or (text.echo and len(text.prompt_ids)))
        told = alone(model, n, **each).chances
        both = min(len(told), len(text.chances))  # a stop string may end a text after more tokens were sampled
        assert both == len(told) or text.config.stop
        if model.backend.name == "cpu":
            assert told[:both] == text.chances[:both]
        if each:
            drawn = np.concatenate([np.empty(0, int), *text.drawn])
            before = text.prompt_ids[:0] if text.echo else text.prompt_ids
            ids = np.concatenate([text.prompt_ids[len(before) :], drawn]).astype(int)
            nats = log_probabilities(model, before, ids)
            first = int(text.echo and len(text.prompt_ids) > 0)
            assert text.chances[:first] == [None] * first
            assert [chance.id for chance in text.chances[first:]] == ids[first:].tolist()
            found = np.array([chance.nats for chance in text.chances[first:]])
            np.testing.assert_allclose(found, nats[first:], rtol=1e-4, atol=1e-5)
            for chance in text.chances[first:]:
                likeliest = [nats for _, nats in chance.likeliest]
                assert len(likeliest) == each["likeliest"]
                assert likeliest == sorted(likeliest, reverse=True)
                assert all(chance.nats <= nats or (chance.id, chance.nats) in chance.likeliest for nats in likeliest)


def test_a_long_prompt_is_read_in_parts_while_others_write(model):
    batch = Batch(model, 0.001)
    long = Text(0, model.vocab, "ab " * 700, SamplingSettings(1), False)
    short = Text(0, model.vocab, "ab", SamplingSettings(10**6), False)
    batch.add(long)
    batch.add(short)
    turns = 0
    while not long.drawn:
        said = batch.turn()
        assert short in [text for text, _ in said], "the short text must get new tokens in each turn"
        turns += 1
    assert turns >= 2100 // 256
    assert len(short.drawn) == turns


def test_all_get_as_many_tokens_in_a_turn(model):
    batch = Batch(model, 0.001)
    texts = [Text(n, model.vocab, "ab", SamplingSettings(200), False) for n in range(5)]
    for text in texts:
        batch.add(text)
        batch.turn()
    lefts = [text.left for text in texts]
    for _ in range(5):
        batch.turn()
    assert len({before - text.left for before, text in zip(lefts, texts, strict=True)}) == 1
    batch.remove(texts[0])
    batch.remove(texts[0])
    assert len(batch) == 4


@pytest.mark.parametrize("echo", [False, True])
def test_telling_of_tokens_takes_no_longer_than_a_turn_may(model, echo, monkeypatch):
    """If reporting a token takes 3 ms, a turn reports few tokens over all texts, so that none has to wait long."""
    most, logits = 0, model.logits

    def slow(ids, state):
        nonlocal told
        told += ids.size
        time.sleep(0.003 * ids.size)
        return logits(ids, state)

    batch = Batch(model, seconds=0.01)
    for n in range(3):
        batch.add(Text(n, model.vocab, "abc " * 80, SamplingSettings(90), False))  # these set the initial pace
    for _ in range(20):
        batch.turn()
    monkeypatch.setattr(model, "logits", slow)
    for n in range(4):
        batch.add(Text(n, model.vocab, "abc " * 9, SamplingSettings(9), False, likeliest=1, echo=echo))
    while batch:
        told = 0
        batch.turn()
        most = max(most, told)
    assert 0 < most <= 32


def test_the_likeliest_are_those_that_sorting_all_finds_first():
    logits = np.random.default_rng(1).integers(0, 4, (50, 30)).astype(np.float32)  # with many ties
    for most in (0, 1, 5, 30, 99):
        for row, found in zip(
            token_probabilities.log_softmax(logits), token_probabilities.of(logits, [3] * 50, most), strict=True
        ):
            assert [n for n, _ in found.likeliest] == np.argsort(-row, kind="stable")[:most].tolist()
            assert [nats for _, nats in found.likeliest] == sorted(row, reverse=True)[:most]
