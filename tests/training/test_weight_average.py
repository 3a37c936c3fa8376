"""The running average of the weights equals its definition, and is what is validated and kept."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.network.evaluate import evaluate
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.vocab.char import CharVocab
from numlstm.training import loop
from numlstm.training.loop import Epoch
from numlstm.training.state import TrainingState
from numlstm.training.weight_average import Average

TEXT = "the cat sat on the mat and the dog ran after the cat; " * 12
VOCAB = CharVocab.from_text(TEXT)
IDS = VOCAB.encode(TEXT)
NETWORK = NetworkSettings(len(VOCAB), (6,), embedding=4, tie_weights=False)


def new_run(**settings: object) -> TrainingState:
    config = TrainingSettings(steps=40, batch_size=4, seq_len=8, warmup_steps=3, **settings)  # type: ignore[arg-type]
    flat = parameters.initialise(NETWORK, 0)
    return TrainingState.start(Model(NETWORK, flat, registry.load("reference"), vocab=VOCAB), config)


def test_it_is_the_mean_of_the_weights_older_ones_fading() -> None:
    run = new_run(average=0.8)
    passed = [run.model.flat.astype(np.float64)]
    for event in loop.train(run, IDS[:500], IDS[500:]):
        if not isinstance(event, Epoch):
            passed.append(run.model.flat.astype(np.float64))
    # The average as one weighted sum: the share of each step's weights at the end.
    fades = [min(0.8, (1 + n) / (10 + n)) for n in range(40)]
    shares = [np.prod(fades[n:]) * (1 - fades[n - 1] if n else 1) for n in range(41)]
    assert sum(shares) == pytest.approx(1)
    expected = sum(share * flat for share, flat in zip(shares, passed, strict=True))
    assert run.average is not None
    assert run.average.updates == 40
    np.testing.assert_allclose(run.average.flat, expected, rtol=0, atol=1e-6)
    assert np.abs(run.average.flat - run.model.flat).max() > 1e-3


def test_the_average_is_validated_and_kept() -> None:
    run, plain = new_run(average=0.9), new_run()
    epochs = [event for event in loop.train(run, IDS[:500], IDS[500:]) if isinstance(event, Epoch)]
    assert run.average is not None
    evaluation_model = Model(NETWORK, run.average.flat, run.model.backend, vocab=VOCAB)
    assert epochs[-1].val_loss == pytest.approx(evaluate(evaluation_model, IDS[500:]), rel=1e-6)
    assert epochs[-1].best
    file = run.to_file()
    assert file.params.tobytes() == run.average.flat.tobytes() == run.snapshot().params.tobytes()
    for _ in loop.train(plain, IDS[:500], IDS[500:]):
        pass
    assert run.model.flat.tobytes() == plain.model.flat.tobytes(), "averaging must not change the run itself"
    assert plain.average is None
    assert plain.evaluation_model() is plain.model


def test_before_anything_is_validated_the_average_is_kept() -> None:
    run = new_run(average=0.9)
    for _ in zip(range(3), loop.train(run, IDS, IDS[:0]), strict=False):
        pass
    assert run.average is not None
    assert run.to_file().params.tobytes() == run.average.flat.tobytes() != run.model.flat.tobytes()


def test_it_can_begin_and_end_as_a_run_goes_on() -> None:
    run = new_run()
    for _ in zip(range(5), loop.train(run, IDS[:500], IDS[500:]), strict=False):
        pass
    run.change_(TrainingSettings(**{**run.config.to_dict(), "average": 0.9}), IDS[:500])
    assert isinstance(run.average, Average)
    assert run.average.flat.tobytes() == run.model.flat.tobytes()
    assert "average" in run.to_file().state.slots  # type: ignore[union-attr]
    run.change_(TrainingSettings(**{**run.config.to_dict(), "average": 0.0}), IDS[:500])
    assert run.average is None
    assert "average" not in run.to_file().state.slots  # type: ignore[union-attr]
