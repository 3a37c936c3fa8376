"""PyTorch as the judge, in float64: outputs to 1e-12, gradients to 1e-10, losses of 100 training steps to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest

from tests.judge import cases

pytest.importorskip("torch", reason="needs PyTorch: install the extra `judge`")

from tests.judge import torch_twin

pytestmark = pytest.mark.judge

STACKS = {
    "one layer": {"T": 5, "B": 3, "D": 4, "layers": (7,)},
    "two layers": {"T": 6, "B": 2, "D": 3, "layers": (5, 11)},
    "three layers": {"T": 4, "B": 5, "D": 8, "layers": (13, 1, 6)},
    "wide": {"T": 3, "B": 19, "D": 33, "layers": (40, 70, 24)},
    "one step of one row": {"T": 1, "B": 1, "D": 1, "layers": (1, 2)},
    "long": {"T": 200, "B": 2, "D": 5, "layers": (9, 4)},
}


@pytest.mark.usefixtures("all_threads")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("sizes", STACKS.values(), ids=STACKS)
def test_outputs_and_gradients_of_a_stack(backend, sizes, seed):
    case = cases.draw_stack(seed, **sizes)
    cases.assert_stack(cases.run_stack(backend, case), torch_twin.run_stack(case))


@pytest.mark.parametrize("layers", [(9,), (12, 7), (6, 10, 3)])
def test_logits_and_gradients_of_a_network(backend, layers):
    case = cases.draw_training(0, layers=layers)
    expected = torch_twin.run_first_step(case, batch_size=cases.TRAINING.batch_size, seq_len=cases.TRAINING.seq_len)
    cases.assert_first_step(cases.run_first_step(backend, case), expected)


def train_torch(case):
    config = cases.TRAINING
    return torch_twin.run_training(
        case,
        steps=config.steps,
        batch_size=config.batch_size,
        seq_len=config.seq_len,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        clip=config.clip,
    )


@pytest.mark.parametrize("layers", [(9,), (12, 7), (6, 10, 3)])
def test_a_hundred_steps_of_training(backend, layers):
    case = cases.draw_training(0, layers=layers)
    cases.assert_training(cases.run_training(backend, case), train_torch(case))


def test_the_judge_sees_a_difference(backend):
    case = cases.draw_stack(0, **STACKS["two layers"])
    expected = torch_twin.run_stack(case)
    for name in case:
        changed = {**case, name: case[name] * (1 + 1e-6)}
        with pytest.raises(AssertionError):
            cases.assert_stack(cases.run_stack(backend, changed), expected)
    training = cases.draw_training(0, layers=(9,))
    changed = {**training, "output.b": training["output.b"] + np.float64(1e-6) * np.arange(len(cases.SYMBOLS))}
    with pytest.raises(AssertionError):
        cases.assert_training(cases.run_training(backend, changed), train_torch(training))
