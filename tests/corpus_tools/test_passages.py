"""Repeated passages: found at the right positions, and checked against a slow search."""

from __future__ import annotations

import random

import pytest

from numlstm.corpus_tools.passages import WINDOW, repeated_passages


def noise(size, seed=0):
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz ", k=size))


def test_nothing_repeats_in_noise():
    assert repeated_passages(noise(5000)) == ([], 0.0)
    assert repeated_passages("") == ([], 0.0)
    assert repeated_passages("short " * 3) == ([], 0.0)


@pytest.mark.parametrize("length", [WINDOW, WINDOW + 1, 300])
def test_a_passage_is_found_whole(length):
    passage = noise(length, 1)
    text = f"{noise(500)}1{passage}2{noise(400, 2)}3{passage}4"
    ((found,), share) = repeated_passages(text)
    assert (found.text, found.length) == (passage, length)
    assert text[found.start : found.start + length] == passage
    assert text[found.before : found.before + length] == passage
    assert found.before < found.start
    assert share == pytest.approx(length / len(text))


def test_what_is_a_little_shorter_is_not():
    passage = noise(WINDOW - 1, 1)
    assert repeated_passages(f"{noise(500)}1{passage}2{passage}3") == ([], 0.0)


def test_the_longest_come_first_each_once():
    long, short = noise(200, 1), noise(100, 2)
    text = "|".join([short, long, noise(50, 3), short, noise(40, 4), long, noise(30, 5), long])
    found, share = repeated_passages(text)
    assert [each.text.strip("|") for each in found] == [long, short]
    assert share == pytest.approx(500 / len(text), abs=0.02)
    assert len(repeated_passages(text, most=1)[0]) == 1


def test_one_block_over_and_over():
    block = noise(100, 1)
    found, share = repeated_passages(block * 50)
    assert share == pytest.approx(0.98)
    assert found[0].length == 4900
    assert repeated_passages("a" * 1000)[1] > 0.99


def test_every_script_and_lone_surrogates():
    passage = "".join(f"한글 텍스트 🙂\ud800{number}" for number in range(10))
    ((found,), _) = repeated_passages(f"{noise(200)}1{passage}{noise(200, 2)}2{passage}")
    assert found.text == passage


@pytest.mark.parametrize("seed", range(5))
def test_the_share_is_what_a_slow_search_finds(seed):
    chance = random.Random(seed)
    parts = [noise(chance.randrange(20, 150), n) for n in range(6)]
    text = "".join(chance.choices(parts, k=20))
    seen, covered = set(), set()
    for start in range(len(text) - WINDOW + 1):
        window = text[start : start + WINDOW]
        if window in seen:
            covered |= set(range(start, start + WINDOW))
        seen.add(window)
    assert repeated_passages(text)[1] == pytest.approx(len(covered) / len(text))
