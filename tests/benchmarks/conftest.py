"""Stand-ins for what a benchmark needs and this machine or this environment lacks."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from benchmarks import against, contest, generate, measure, train, with_numlstm
from numlstm.backends import cpu, registry
from numlstm.backends.cpu import processor
from tests.benchmarks import commands_here

RunScript = Callable[..., str]


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunScript:
    """Run the main function of a script with the arguments of a command line, and return what it prints."""

    def run(script: ModuleType, *arguments: object) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
        script.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a package look as if it were not installed."""
    return lambda package: monkeypatch.setitem(sys.modules, package, None)  # find_spec then finds nothing


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """Leave the CPU with as many threads as it starts with: contestants choose their own."""
    yield
    registry.load("cpu").set_threads(None)


class WorkerHere:
    """Stands in for `contest.Worker`: the same contestant, but in the process of the test.

    In place of PyTorch's contestants there are numlstm's, so that the scripts can be run as if PyTorch were installed.
    """

    in_place_of_torch = {  # noqa: RUF012
        "train": with_numlstm.Training,
        "eager": with_numlstm.Streams,
        "scripted": with_numlstm.Streams,
    }

    def __init__(self, module: str, task: str, settings: Any, memory: Any = None, checkout: Any = None) -> None:
        tasks = (
            self.in_place_of_torch if module == "with_torch" else importlib.import_module(f"benchmarks.{module}").TASKS
        )
        self._answer = contest.answering(tasks[task], json.loads(json.dumps(settings)))

    def ask(self, question: str, **values: Any) -> Any:
        return json.loads(json.dumps(self._answer(question, json.loads(json.dumps(values)))))

    def __enter__(self) -> WorkerHere:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let contestants work in the process of the test, and start their turns at once."""
    monkeypatch.setattr(contest, "_REST", 0.0)
    for script in (train, generate, against):
        monkeypatch.setattr(script, "Worker", WorkerHere)


@pytest.fixture
def as_if_torch(monkeypatch: pytest.MonkeyPatch, workers_here: None) -> None:
    """Let the scripts believe that PyTorch is installed; numlstm's contestants stand in for those of PyTorch."""
    for script in (train, generate):
        monkeypatch.setattr(script, "judge", lambda: {"torch": "a stand-in"})


@pytest.fixture
def bf16_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU take a network in bf16 and compute it in float32: on every processor, with no further kernels."""
    pack = cpu.pack_lstm
    monkeypatch.setattr(cpu, "pack_lstm", lambda *weights, precision="", **options: pack(*weights, **options))


@pytest.fixture
def bf16_in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers in processes of their own compute in bf16: by emulation where the processor has no instruction."""
    if processor.bf16_missing():
        emulated = {"NUMLSTM_BF16": "emulated"}
        monkeypatch.setattr(contest, "environment", lambda **extra: measure.environment(**emulated, **extra))


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run numlstm's commands and the scripts beside them in the process of the test."""
    monkeypatch.setattr(subprocess, "run", commands_here.run)
