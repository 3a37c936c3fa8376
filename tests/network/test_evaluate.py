"""The loss on a text: of each part, with carried state, and of cold windows, which start from a zero state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from numlstm.errors import ConfigError, CorpusError
from numlstm.model import Model
from numlstm.network.evaluate import evaluate, evaluate_windows, losses

V = 6


@pytest.fixture(scope="module")
def model() -> Model:
    """Return a model whose predictions depend strongly on the earlier tokens."""
    model = Model.create(V, (8, 7), seed=2, device="reference", dtype="float64")
    model.set_params({name: 3 * value for name, value in model.params.items()})
    return model


@pytest.fixture(scope="module")
def ids() -> Any:
    return np.random.default_rng(4).integers(0, V, 2500)


def each_loss(model: Model, ids: Any) -> Any:
    """Return the loss of every token but the first, computed from the logits of one pass."""
    logits = model.logits(ids[:-1, None])[0][:, 0].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(ids) - 1), ids[1:]]


def test_each_part_has_its_own_tokens_losses(model: Model, ids: Any) -> None:
    ids = ids[:600]
    expected = each_loss(model, ids)
    ends = [1, 70, 70, 71, 400, 600]
    found = losses(model, ids, ends)
    assert found[0] == 0, "the first token is not predicted"
    assert found[2] == 0, "an empty file"
    for total, start, end in zip(found, [1, *ends], ends, strict=False):
        assert total == pytest.approx(expected[start - 1 : end - 1].sum(), rel=1e-9)
    assert evaluate(model, ids) == pytest.approx(expected.mean(), rel=1e-12)
    assert math.isnan(evaluate(model, ids[:1]))


def test_the_state_is_carried_from_part_to_part(model: Model, ids: Any) -> None:
    _, second = losses(model, ids, [100, 140])
    (alone,) = losses(model, ids[99:140], [41])
    assert abs(second - alone) > 0.1


def test_streams_change_next_to_nothing(ids: Any) -> None:
    model = Model.create(V, (8, 7), seed=2, device="reference", dtype="float64")  # forgets quickly, as most models do
    ends = [200, 2300, 2500]
    whole, streams = losses(model, ids, ends), losses(model, ids, ends, streams=2)
    assert whole[0] == streams[0], "too short for two streams"
    assert whole[1] != streams[1]
    np.testing.assert_allclose(streams, whole, rtol=1e-3)


def test_cold_windows_are_what_they_say(model: Model, ids: Any) -> None:
    ids, length = ids[:700], 20
    found = evaluate_windows(model, ids, length, seed=9)
    assert found.windows == 192, "four times the text, in whole batches: 4 * 35 = 140 windows"
    starts = np.random.default_rng(9).integers(0, len(ids) - length, found.windows)
    each = [each_loss(model, ids[start : start + length + 1]).mean() for start in starts]
    assert found.nats == pytest.approx(np.mean(each), rel=1e-9)
    assert found.standard_error == pytest.approx(np.std(each) / math.sqrt(found.windows), rel=0.7)


def test_cold_windows_differ_by_seed_and_from_carried_state(model: Model, ids: Any) -> None:
    ids = ids[:400]
    nats = [evaluate_windows(model, ids, 5, seed=seed).nats for seed in (1, 1, 2)]
    assert nats[0] == nats[1] != nats[2]
    assert abs(nats[0] - evaluate(model, ids)) > 0.005


def test_a_seed_out_of_range(model: Model, ids: Any) -> None:
    with pytest.raises(ConfigError, match="the seed is -1; expected a whole number from 0"):
        evaluate_windows(model, ids, 8, seed=-1)


def test_the_shortest_text_for_cold_windows(model: Model, ids: Any) -> None:
    only = evaluate_windows(model, ids[:8], 7)
    assert only.nats == pytest.approx(evaluate(model, ids[:8]))
    assert only.windows == 128
    with pytest.raises(CorpusError, match="more than the window length, 8"):
        evaluate_windows(model, ids[:8], 8)
    with pytest.raises(ConfigError, match="at least 1"):
        evaluate_windows(model, ids, 0)


def test_a_long_text_gets_as_many_windows_as_nanogpt_takes(model: Model) -> None:
    assert evaluate_windows(model, np.zeros(4000, np.int32), 1).windows == 12_800


def test_the_memory_of_mapped_ids_is_given_back_now_and_then(
    model: Model, ids: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[Any] = []
    monkeypatch.setattr("numlstm.network.evaluate.release", released.append)
    monkeypatch.setattr("numlstm.network.evaluate._HELD", 256)
    evaluate(model, ids[:1025])
    assert len(released) == 4
