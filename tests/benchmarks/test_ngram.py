"""The n-gram model sums to 1, discounts as its paper says, and gains from longer contexts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks import measure, ngram, pictures
from benchmarks.ngram import KneserNey, discounts, tokens, vocabulary


@given(st.lists(st.integers(0, 4), min_size=2, max_size=40), st.integers(1, 4))
@example([0, 0, 2, 1, 0, 1, 1, 1, 2, 1, 1], 3)  # its discounts come out as 0
def test_probabilities_add_up_to_one_after_any_context(ids: list[int], order: int) -> None:
    model = KneserNey(ids, 5, order)
    for context in ([], [3], [0, 1, 2], ids[:3], ids[-3:]):
        each = [model.probability(token, context) for token in range(5)]
        assert min(each) > 0
        assert math.fsum(each) == pytest.approx(1)


def test_discounts_by_hand() -> None:
    # Ten n-grams that occur once, four twice, two three times, one four times: Y = 10 / (10 + 2 * 4).
    Y = 10 / 18
    assert discounts([1] * 10 + [2] * 4 + [3] * 2 + [4]) == pytest.approx(
        (0, 1 - 2 * Y * 4 / 10, 2 - 3 * Y * 2 / 4, 3 - 4 * Y * 1 / 2)
    )


def test_a_lower_order_counts_different_contexts_not_occurrences() -> None:
    # 1 comes often, but only after 0; 2 comes after 0, 3 and 4.
    ids = [0, 1] * 20 + [0, 2, 3, 2, 4, 2]
    model = KneserNey(ids, 5, 2)
    assert model.probability(2, []) > model.probability(1, [])
    assert model.probability(1, [0]) > model.probability(2, [0])


def test_longer_contexts_help_where_text_repeats() -> None:
    ids = [0, 1, 2, 0, 2, 1] * 60
    one, two, three = (KneserNey(ids, 3, order).nats(ids) for order in (1, 2, 3))
    assert one > two + 0.1 > three + 0.2


def test_tokens_are_those_of_a_pretokenised_text() -> None:
    assert tokens("a b ,\n\nc  d\n", "word") == ["a", "b", ",", "<eos>", "<eos>", "c", "d", "<eos>"]
    assert tokens("a\nb", "word") == ["a", "<eos>", "b"]
    assert tokens("a b\n", "char") == list("a b\n")


def test_rare_words_are_unknown() -> None:
    read = ["a", "b", "a", "<unk>", "c", "b", "a"]
    assert set(vocabulary(read, 2)) == {"<unk>", "a", "b"}
    assert sorted(vocabulary(read, 1).values()) == [0, 1, 2, 3]


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    """Return a training text and a test text."""
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("the cat sat .\nthe dog sat .\n" * 9, "utf-8")
    paths[1].write_text("the bird sat .\n", "utf-8")
    return paths


def test_the_script_writes_its_results(run_script: Callable[..., str], tmp_path: Path, texts: list[Path]) -> None:
    run_script(ngram, *texts, "--order", 3, "-o", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert [result["order"] for result in found["results"]] == [1, 2, 3]
    assert (found["tokens"], found["unknown"], found["settings"]["min_count"]) == (4, 1, 2)
    assert found["files"] == {"train": "a.txt", "test": "b.txt"}
    for result in found["results"]:
        assert result["perplexity"] == pytest.approx(math.exp(result["nats_per_token"]))


def test_characters_in_a_file_with_a_label(
    run_script: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, texts: list[Path]
) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(pictures, "draw_if_possible", lambda path: None)
    run_script(ngram, *texts, "--level", "char", "--label", "letters")
    found = json.loads((tmp_path / "results" / "ngram-letters.json").read_text("utf-8"))
    assert [result["order"] for result in found["results"]] == list(range(1, 9))
    assert (found["tokens"], found["settings"]["min_count"]) == (14, 1)


def test_a_quick_run_reads_the_first_50_000_characters(run_script: Callable[..., str], texts: list[Path]) -> None:
    texts[0].write_text("the cat sat .\n" * 10_000, "utf-8")
    printed = run_script(ngram, *texts, "--quick", "--order", "1")
    assert "training_tokens 17,857" in printed
    assert "nothing written" in printed
