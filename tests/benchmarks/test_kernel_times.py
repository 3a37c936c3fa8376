"""Timing kernels on devices that queue work, missing devices, and the report."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from benchmarks import kernels
from benchmarks.cases import Call
from numlstm import errors
from numlstm.backends import reference, registry

KERNEL, PREPARE = 0.002, 0.001  # device seconds of each


class Queue:
    """A device that does the queued work when waited for, and counts the waits."""

    queued = True

    def __init__(self) -> None:
        self.seconds, self.waits = 0.0, 0

    def add(self, seconds: float) -> None:
        self.seconds += seconds

    def zeros(self, shape: int, dtype: str) -> int:
        return shape

    def to_numpy(self, array: int) -> None:
        time.sleep(self.seconds)
        self.seconds, self.waits = 0.0, self.waits + 1


@pytest.mark.parametrize("prepared", [False, True])
def test_a_queue_is_timed_as_a_whole_without_what_prepares_the_calls(prepared: bool) -> None:
    device = Queue()
    more = {"prepare": lambda: device.add(PREPARE)} if prepared else {}
    call = Call(lambda: device.add(KERNEL), **more)  # type: ignore[arg-type]
    found = kernels.queued_seconds(device, call, 0.1)  # type: ignore[arg-type]
    assert 0.8 * KERNEL < found < 1.5 * KERNEL
    assert device.waits < 20, "must not wait after each call"


def test_a_kernel_that_takes_no_time_to_speak_of() -> None:
    ticks = iter([0.0, 1.0, 1.0, 3.0])
    device = Queue()
    call = Call(dict, prepare=lambda: None)
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    before, kernels.time = kernels.time, clock  # type: ignore[assignment]
    try:
        assert kernels.queued_seconds(device, call, 0.5) == kernels._RESOLUTION  # type: ignore[arg-type]
    finally:
        kernels.time = before


def test_a_device_that_is_not_there_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(name: str) -> None:
        raise errors.BackendError("device gpu is not available: it hides")

    monkeypatch.setattr(registry, "load", load)
    monkeypatch.setattr(sys, "argv", ["kernels", "--quick", "--device", "gpu"])
    kernels.main()
    assert capsys.readouterr().out == "gpu is left out: device gpu is not available: it hides\n"


def test_the_report_has_errors_and_times() -> None:
    def kernel(seconds: float, error: float) -> dict[str, object]:
        return {"seconds": {"median": seconds}, "largest_error": error}

    results = [
        {
            "name": "1x8 B2 T3",
            "precision": "float32",
            "threads": 1,
            "kernels": {"adam_": kernel(2e-6, 1e-8), "a, b": kernel(3e-5, 1e-7)},
        },
        {"name": "2x8 B2 T3", "precision": "bf16", "threads": 2, "kernels": {"adam_": kernel(4.44e-6, 3e-8)}},
    ]
    said = kernels.report_of(reference, results).splitlines()
    assert said[0] == said[-1] == "```"
    found = dict(line.split("  ", 1) for line in said[1:-1])
    found = {name: value.strip() for name, value in found.items()}
    assert found["device"] == "reference (NumPy)"
    assert (found["error, adam_, bf16"], found["error, a, b"]) == ("3.0e-08", "1.0e-07")
    assert found["us, 1x8 B2 T3, 1 thread"] == "adam_ 2, a b 30"
    assert found["us, 2x8 B2 T3, 2 threads, bf16"] == "adam_ 4.44"


def test_what_is_further_from_the_reference_than_rounding_is_named():
    kernels_of = {"lstm_forward": {"largest_error": 1e-6}, "adam_": {"largest_error": 0.25}}
    odd = {"generate, 1 stream": {"largest_error": float("nan")}}
    results = [
        {"name": "1x128", "device": "gpu", "precision": "float32", "kernels": kernels_of},
        {"name": "2x128", "device": "cpu", "precision": "float32", "kernels": odd},
    ]
    assert kernels.far_off(results) == ["adam_ of 1x128 on gpu by 0.25", "generate, 1 stream of 2x128 on cpu by nan"]
    assert kernels.far_off([{**results[0], "kernels": {"lstm_forward": {"largest_error": 1e-6}}}]) == []
    rounded = {**results[0], "precision": "bf16", "kernels": {"lstm_forward": {"largest_error": 1e-2}}}
    assert kernels.far_off([rounded]) == []
    rounded["kernels"]["lstm_forward"]["largest_error"] = 0.1
    assert kernels.far_off([rounded]) == ["lstm_forward, bf16 of 1x128 on gpu by 0.1"]
