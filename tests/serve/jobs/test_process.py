"""The worker process of a job: its orders, its environment, and the error that it reports at exit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from numlstm.network import weights_file
from numlstm.serve.jobs import lock, worker
from numlstm.serve.jobs.process import Order, Process
from numlstm.serve.jobs.runner import WORKER
from tests.serve.training import TEXT, TINY
from tests.serve.waiting import until

SETTINGS = {**TINY, "steps": 100_000, "device": "reference", "output": "new.npz", "log": "run.jsonl"}


def start(folder: Path, command: Sequence[str] = WORKER, **settings: Any) -> Process:
    (folder / "text.txt").write_text(TEXT, encoding="utf-8", newline="")
    order: Order = {
        "settings": {**SETTINGS, **settings},
        "resume": None,
        "corpus": "-",
        "text": str(folder / "text.txt"),
    }
    return Process(command, folder, folder / "lock", folder / "errors.txt", order)


def end(process: Process) -> tuple[int, str]:
    """Wait until the process exits; return its exit code and error message."""
    until(lambda: process.ended() is not None)
    code, error = process.ended(), process.close()
    assert code is not None
    return code, error["message"] if error else ""


def until_it_says(folder: Path, words: str, file: str = "errors.txt") -> None:
    until(lambda: (folder / file).exists() and words in (folder / file).read_text("utf-8"))


def test_it_stops_when_told(tmp_path: Path) -> None:
    process = start(tmp_path)
    until_it_says(tmp_path, '"event": "epoch"', "run.jsonl")  # a run that has not begun has nothing to save
    assert not lock.is_free(tmp_path / "lock")
    process.stop()
    assert end(process) == (130, "")
    assert weights_file.load(tmp_path / "new.npz").state is not None
    assert lock.is_free(tmp_path / "lock")


def test_it_stops_when_told_at_once(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.stop()
    assert end(process)[0] == 130


TELLS_THAT_IT_WAITS = """
import sys, time
import numlstm.serve.jobs.lock as lock
from numlstm.serve.jobs.worker import main
pause = time.sleep
def sleep(seconds):
    print("it waits", file=sys.stderr)
    pause(seconds)
lock.time.sleep = sleep
main()
"""


def test_it_waits_for_the_lock(tmp_path: Path) -> None:
    held = lock.taken(tmp_path / "lock")
    assert held is not None
    assert lock.taken(tmp_path / "lock") is None
    process = start(tmp_path, command=(sys.executable, "-c", TELLS_THAT_IT_WAITS))
    until_it_says(tmp_path, "it waits")
    assert not (tmp_path / "run.jsonl").exists()
    held.close()
    until_it_says(tmp_path, '"event": "start"', "run.jsonl")
    process.stop()
    assert end(process)[0] == 130


def test_an_error_of_ours_is_told_with_its_type(tmp_path: Path) -> None:
    process = start(tmp_path, lr=-1)
    until(lambda: process.ended() is not None)
    assert process.ended() == 1
    assert process.close() == {"type": "ConfigError", "message": "`lr` is -1; expected a number above 0"}
    assert "`lr` is -1" in (tmp_path / "errors.txt").read_text("utf-8")


def test_a_text_that_is_gone(tmp_path: Path) -> None:
    order: Order = {"settings": SETTINGS, "resume": None, "corpus": "-", "text": str(tmp_path / "no.txt")}
    process = Process(WORKER, tmp_path, tmp_path / "lock", tmp_path / "errors.txt", order)
    assert end(process) == (1, "the job's text cannot be read: No such file or directory; create a new job")


def test_what_nobody_expected_is_told_without_a_traceback(tmp_path: Path) -> None:
    script = "import numlstm.serve.jobs.worker as worker\nworker._begun = lambda order: 1 / 0\nworker.main()"
    code, line = end(start(tmp_path, command=(sys.executable, "-c", script)))
    assert code == 1
    assert line == "the training failed (ZeroDivisionError); see errors.txt in the job's folder"
    assert "Traceback" in (tmp_path / "errors.txt").read_text("utf-8")


def test_it_does_not_know_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMLSTM_API_KEY", "secret")
    script = "import os, sys; sys.stdin.readline(); sys.exit('secret' in os.environ.values())"
    assert end(start(tmp_path, command=(sys.executable, "-c", script))) == (0, "")


def test_without_a_server_that_says_anything_it_ends(tmp_path: Path) -> None:
    done = subprocess.run([*WORKER, tmp_path, tmp_path / "lock"], stdin=subprocess.DEVNULL, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"null", b"")


def test_what_cannot_be_printed_does_not_end_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    worker._print("no room for this")
