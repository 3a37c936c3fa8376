"""Ratios of rates, workers, and the rejection of contestants whose results differ."""

import pytest

from benchmarks import contest, generate
from benchmarks.measure import spread
from benchmarks.shapes import Shape


class Answering:
    """A worker without a process, with prepared answers."""

    def __init__(self, **answers):
        self.answers = answers

    def ask(self, question, **values):
        return self.answers[question]


def test_a_ratio_is_taken_in_each_round():
    found = contest.ratios("ours", {"ours": [6.0, 2.0, 9.0], "other": [2.0, 1.0, 9.0]})
    assert list(found) == ["other"]
    assert found["other"]["rounds"] == [3.0, 2.0, 1.0]
    assert found["other"]["median"] == 2.0


def test_the_geometric_mean_is_of_the_medians():
    each = [{"other": spread([4.0])}, {"other": spread([1.0, 1.0, 100.0])}]
    assert contest.geometric_means(each) == {"other": 2.0}
    assert contest.geometric_means([{}]) == {}


def test_who_cannot_run_is_left_out_with_the_reason():
    there, absent = contest.present({"a": Answering(absent=""), "b": Answering(absent="no such unit")})
    assert list(there) == ["a"]
    assert absent == {"b": "no such unit"}


def test_a_contestant_that_cannot_run_says_so_and_no_more():
    def task(threads):
        raise contest.AbsentError(f"no such unit on {threads} threads")

    assert contest.answering(task, {"threads": 2})("absent", {}) == "no such unit on 2 threads"


def test_a_worker_is_a_process_that_works_until_it_cannot_answer(capfd):
    with contest.Worker("peak", "fma", {"threads": 1}, {"MALLOC_TOP_PAD_": "1000"}) as worker:
        assert contest.present({"peak": worker}) == ({"peak": worker}, {})
        rates = contest.take_turns({"peak": worker}, rounds=2, seconds=0.001)
        assert min(rates["peak"]) > 1e6
        about = contest.report({"peak": worker}, rates)["peak"]
        assert about["threads"] == 1
        assert about["peak_memory_mb"] is None or about["peak_memory_mb"] > 10
        with pytest.raises(RuntimeError, match="peak ended with exit code 1 when asked to sing"):
            worker.ask("sing")
    assert "has no attribute 'sing'" in capfd.readouterr().err


def test_useful_operations_counted_by_hand():
    # Layers of 2 units, 4 gates, 3 symbols: 4*2*2 for the first (its input is a gather), 4*2*(2+2), output 2*3.
    assert Shape((2, 2), vocab_size=3).flop_per_character == 6 * (16 + 32 + 6)


def test_text_that_differs_is_refused():
    workers = {"numlstm": Answering(greedy=["ab", "cd"]), "torch": Answering(greedy=["ab", "ce"])}
    with pytest.raises(RuntimeError, match="stream 2"):
        generate.verify(Shape((2,), batch_size=2), workers)
