"""PyTorch as a contestant: it computes the same as numlstm, or reports why it cannot run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import generate, train, with_numlstm
from benchmarks.contest import AbsentError
from benchmarks.shapes import Shape

with_torch = pytest.importorskip("benchmarks.with_torch", reason="needs PyTorch: install the extra `judge`")
with_torch_writing = pytest.importorskip("benchmarks.with_torch_writing", reason="needs PyTorch")
torch = with_torch.torch

pytestmark = pytest.mark.judge

SHAPE = Shape((8, 8), batch_size=2, seq_len=4, vocab_size=5)
FIELDS = dataclasses.asdict(SHAPE)


@pytest.fixture(autouse=True)
def torch_as_before() -> Iterator[None]:
    """Restore PyTorch's threads and oneDNN, which contestants change."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.backends.mkldnn.enabled = True


def first_steps(by: Any, precision: str) -> list[tuple[float, float]]:
    steps: list[tuple[float, float]] = by.Training(FIELDS, 1, precision, **train.SETTINGS).first_steps(20)
    return steps


def test_training_takes_the_steps_that_numlstm_takes() -> None:
    for found, expected in zip(first_steps(with_torch, "float32"), first_steps(with_numlstm, "float32"), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


def gradients(contestant: Any, path: Path) -> dict[str, Any]:
    contestant.save_gradients(str(path))
    with np.load(path) as file:
        return dict(file)


def test_gradients_have_numlstms_names_and_shapes_and_are_exact(tmp_path: Path) -> None:
    exact = gradients(with_torch.Exact(FIELDS, 16), tmp_path / "a.npz")
    assert {each.dtype for each in exact.values()} == {np.dtype("float64")}
    for found, rtol in (
        (with_numlstm.Exact(FIELDS, 16), 1e-10),
        (with_torch.Training(FIELDS, 1, "float32", **train.SETTINGS), 1e-4),
    ):
        other = gradients(found, tmp_path / "b.npz")
        assert other.keys() == exact.keys()
        for name, value in exact.items():
            np.testing.assert_allclose(other[name], value, rtol=rtol, atol=rtol * np.abs(value).max(), err_msg=name)


def test_onednns_math_mode_is_absent_where_it_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = torch.nn.LSTM.forward

    def rounds(self: Any, *values: Any) -> Any:
        h, state = forward(self, *values)
        return (h * (1.002 if torch.backends.mkldnn.enabled else 1.0), state)

    try:
        monkeypatch.setattr(torch.nn.LSTM, "forward", rounds)
        assert len(with_torch.Training(FIELDS, 1, "bf16 math", **train.SETTINGS).first_steps(2)) == 2
        monkeypatch.setattr(torch.nn.LSTM, "forward", forward)
        # On a processor whose oneDNN rounds, its default here is still float32: the variable is not set.
        with pytest.raises(AbsentError, match="oneDNN computes in float32 here"):
            with_torch.Training(FIELDS, 1, "bf16 math", **train.SETTINGS)
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = torch.backends.mkldnn.rnn.fp32_precision = "none"


def test_training_in_bf16_rounds() -> None:
    exact = first_steps(with_torch, "float32")
    torch.backends.mkldnn.enabled = False  # without oneDNN, PyTorch computes an LSTM in bf16 on every processor
    rounded = first_steps(with_torch, "bf16")
    assert all(found[0] != expected[0] for found, expected in zip(rounded, exact, strict=True))
    for found, expected in zip(rounded, exact, strict=True):
        assert found[0] == pytest.approx(expected[0], rel=1e-2)
        assert found[1] == pytest.approx(expected[1], rel=5e-2)


def test_training_in_bf16_is_absent_where_onednn_has_no_such_lstm(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(*values: object) -> None:
        raise RuntimeError("could not create a primitive descriptor. Run workload with ONEDNN_VERBOSE=all")

    monkeypatch.setattr(torch.nn.LSTM, "forward", forward)
    with pytest.raises(AbsentError, match=r"no LSTM in bf16 here: could not create a primitive descriptor$"):
        with_torch.Training(FIELDS, 1, "bf16", **train.SETTINGS)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("task", ["eager", "scripted"])
def test_the_likeliest_text_is_that_of_numlstm(task: str) -> None:
    contestant = with_torch_writing.TASKS[task](FIELDS, 1, **generate.SETTINGS)
    assert contestant.work() == 2 * 16
    ours = with_numlstm.Streams(FIELDS, 1, **generate.SETTINGS)
    assert contestant.greedy(["012", "340"], 20) == ours.greedy(["012", "340"], 20)
    assert contestant.about()["threads"] == 1


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_text_in_bf16_begins_like_that_in_float32() -> None:
    texts = [
        with_torch_writing.Scripted(FIELDS, 1, precision=precision, **generate.SETTINGS).greedy(["012", "340"], 20)
        for precision in ("float32", "bf16")
    ]
    assert all(a[:2] == b[:2] for a, b in zip(*texts, strict=True))


def test_the_math_mode_is_judged_on_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def judged(compute: Any) -> None:
        asked.extend([compute(), compute()])

    monkeypatch.setattr(with_torch_writing, "use_bf16_math", judged)
    monkeypatch.setattr(torch.jit, "script", lambda loop: loop)
    with_torch_writing.Scripted(FIELDS, 1, precision="bf16 math", **generate.SETTINGS)
    assert torch.equal(*asked)
