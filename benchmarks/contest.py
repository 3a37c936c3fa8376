"""Run contestants in separate processes that take turns on one machine.

A worker is a long-lived process. It sets up, then blocks on its standard input until it gets a request. So each worker
can have its own environment (glibc reads its memory settings only at startup), and only one works at a time, in the
order A B C A B C, so that a temporary slowdown of the machine affects all of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from .measure import ROOT, environment, spread

_REST = 0.05  # seconds to sleep before each turn: the previous worker's OpenMP threads spin for some milliseconds

Rates = dict[str, list[float]]


class AbsentError(Exception):
    """Raised by a contestant that cannot run on this machine; the message gives the reason."""


class Contestant(Protocol):
    """The object that runs in a worker. `Worker.ask` can also call its other public methods."""

    def work(self) -> int:
        """Do the smallest piece of work that can be timed, and return its amount, usually in characters."""

    def about(self) -> dict[str, Any]:
        """Describe the configuration, such as the number of threads."""


class Worker:
    """A contestant in its own process, `python -m benchmarks.MODULE TASK SETTINGS`, started in a checkout.

    `variables` are added to its environment.
    """

    def __init__(
        self,
        module: str,
        task: str,
        settings: Mapping[str, Any],
        variables: Mapping[str, str] | None = None,
        checkout: Path = ROOT,
    ):
        command = [sys.executable, "-m", f"benchmarks.{module}", task, json.dumps(settings)]
        pipe = subprocess.PIPE
        self.name = module
        self._process = subprocess.Popen(
            command, cwd=checkout, env=environment(**variables or {}), stdin=pipe, stdout=pipe, text=True, bufsize=1
        )

    def ask(self, question: str, **values: Any) -> Any:
        """Send a request and return the answer. Raises `RuntimeError` if the process has ended."""
        stdin, stdout = _pipes(self._process)
        try:
            stdin.write(json.dumps([question, values]) + "\n")
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.name} ended with exit code {self._process.wait()} when asked to {question}")
        return json.loads(answer)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def serve(tasks: Mapping[str, Callable[..., Contestant]]) -> None:
    """Run as a worker: create the contestant named on the command line, then answer requests until input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep other output from mixing with the answers
    ask = answering(tasks[sys.argv[1]], json.loads(sys.argv[2]))
    for line in sys.stdin:
        question, values = json.loads(line)
        answers.write(json.dumps(ask(question, values)) + "\n")


def answering(task: Callable[..., Contestant], settings: Mapping[str, Any]) -> Callable[[str, Mapping[str, Any]], Any]:
    """Create a contestant; return a function that answers requests. "absent" asks why it cannot run ("": it can)."""
    try:
        contestant = task(**settings)
    except AbsentError as error:
        reason = str(error)
        return lambda question, values: reason
    return lambda question, values: "" if question == "absent" else _answer(contestant, question, values)


def _answer(contestant: Contestant, question: str, values: Mapping[str, Any]) -> Any:
    if question == "turn":
        return _turn(contestant, **values)
    if question == "peak_memory_mb":
        return peak_memory_mb()
    return getattr(contestant, question)(**values)


def _turn(contestant: Contestant, seconds: float) -> float:
    """Work for at least `seconds` and return the rate per second; the first piece, with cold caches, is not timed."""
    contestant.work()
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += contestant.work()
    return done / elapsed


def peak_memory_mb() -> float | None:
    """Return the peak memory of this process in MB, or None if the system does not report it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    # Not getrusage: its figure starts from the parent's memory.
    peak = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
    return None if peak is None else round(int(peak) * 1024 / 1e6, 1)


def present(workers: Mapping[str, Worker]) -> tuple[dict[str, Worker], dict[str, str]]:
    """Return the workers that can run here, and the reason for each that cannot."""
    reasons = {name: worker.ask("absent") for name, worker in workers.items()}
    there = {name: worker for name, worker in workers.items() if not reasons[name]}
    return there, {name: reason for name, reason in reasons.items() if reason}


def take_turns(workers: Mapping[str, Worker], *, rounds: int, seconds: float) -> Rates:
    """Return the rate per second of each worker in each round; only one works at a time."""
    rates: Rates = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            time.sleep(_REST)
            rates[name].append(worker.ask("turn", seconds=seconds))
    return rates


def report(workers: Mapping[str, Worker], rates: Rates) -> dict[str, Any]:
    """Return the configuration, rates and peak memory of each worker whose work is counted in characters."""
    return {
        name: {
            **worker.ask("about"),
            "characters_per_second": spread(rates[name]),
            "peak_memory_mb": worker.ask("peak_memory_mb"),
        }
        for name, worker in workers.items()
    }


def ratios(ours: str, rates: Rates) -> dict[str, Any]:
    """Return how many times as fast as each other worker `ours` was, round by round."""
    return {name: spread(divided(rates[ours], each)) for name, each in rates.items() if name != ours}


def divided(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the ratio in each round."""
    return [a / b for a, b in zip(ours, others, strict=True)]


def geometric_means(each: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the geometric mean over several shapes of each name's median ratio."""
    names = each[0] if each else ()
    return {name: round(statistics.geometric_mean(ratio[name]["median"] for ratio in each), 3) for name in names}
