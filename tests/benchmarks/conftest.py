"""Stand-ins for what benchmarks need but this machine or environment may lack."""

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
    """Return a function that runs a script's `main` with command line arguments and returns its output."""

    def run(script: ModuleType, *arguments: object) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
        script.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes a package look uninstalled."""
    return lambda package: monkeypatch.setitem(sys.modules, package, None)  # find_spec then finds nothing


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """Restore the CPU backend's default number of threads, which contestants change."""
    yield
    registry.load("cpu").set_threads(None)


class WorkerHere:
    """Replacement for `contest.Worker` that runs the contestant in the test's process.

    numlstm's contestants replace those of PyTorch, so that the scripts can run as if PyTorch were installed.
    """

    in_place_of_torch = {  # noqa: RUF012
        "train": with_numlstm.Training,
        "exact": with_numlstm.Exact,
        "eager": with_numlstm.Streams,
        "scripted": with_numlstm.Streams,
    }

    def __init__(self, module: str, task: str, settings: Any, variables: Any = None, checkout: Any = None) -> None:
        tasks = (
            self.in_place_of_torch
            if module.startswith("with_torch")
            else importlib.import_module(f"benchmarks.{module}").TASKS
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
    """Run contestants in the test's process, without a pause before each turn."""
    monkeypatch.setattr(contest, "_REST", 0.0)
    for script in (train, generate, against):
        monkeypatch.setattr(script, "Worker", WorkerHere)


@pytest.fixture
def as_if_torch(monkeypatch: pytest.MonkeyPatch, workers_here: None) -> None:
    """Pretend that PyTorch is installed, with numlstm's contestants in place of PyTorch's."""
    for script in (train, generate):
        monkeypatch.setattr(script, "judge", lambda: {"torch": "a stand-in"})


@pytest.fixture
def bf16_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute bf16 networks in float32 on the CPU: works on every processor and needs no further kernels."""
    for name in ("pack_lstm", "pack_dense"):
        pack = getattr(cpu, name)
        monkeypatch.setattr(cpu, name, lambda *w, precision="", pack=pack, **options: pack(*w, **options))


@pytest.fixture
def bf16_in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes compute in bf16, emulated if the processor lacks the instruction."""
    if processor.bf16_missing():
        emulated = {"NUMLSTM_BF16": "emulated"}
        monkeypatch.setattr(contest, "environment", lambda **extra: measure.environment(**emulated, **extra))


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run numlstm commands and the comparison scripts in the test's process."""
    monkeypatch.setattr(subprocess, "run", commands_here.run)
