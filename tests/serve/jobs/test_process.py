"""The process of a job: what it is told, what it knows, and what it says at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from numlstm.cli.serve.worker import Printed
from numlstm.network import weights_file
from numlstm.serve.jobs import lock
from numlstm.serve.jobs.options import as_words
from numlstm.serve.jobs.process import WORKER, Process
from tests.serve.training import TEXT, TINY
from tests.serve.waiting import until

TRAIN = ["train", *as_words({**TINY, "steps": 100_000, "device": "reference"}), "-o", "new.npz", "--", "-"]


def start(folder: Path, argv: Sequence[str] = TRAIN, command: Sequence[str] = WORKER) -> Process:
    (folder / "text.txt").write_text(TEXT, encoding="utf-8", newline="")
    return Process(command, folder, folder / "lock", folder / "errors.txt", argv, folder / "text.txt")


def end(process: Process) -> tuple[int, str]:
    until(lambda: process.ended() is not None)
    code = process.ended()
    assert code is not None
    return code, process.close()


def until_it_says(folder: Path, words: str) -> None:
    until(lambda: words in (folder / "errors.txt").read_text("utf-8"))


def test_it_stops_when_told(tmp_path: Path) -> None:
    process = start(tmp_path)
    until_it_says(tmp_path, "epoch 1")  # a run that has not begun has nothing to save
    assert not lock.is_free(tmp_path / "lock")
    process.stop()
    code, line = end(process)
    assert code == 130
    assert line.startswith("stopped and saved at step")
    assert line in (tmp_path / "errors.txt").read_text("utf-8")
    assert weights_file.load(tmp_path / "new.npz").state is not None
    assert lock.is_free(tmp_path / "lock")


def test_it_stops_when_told_at_once(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.stop()
    assert end(process)[0] == 130


TELLS_THAT_IT_WAITS = """
import sys, time
import numlstm.serve.jobs.lock as lock
from numlstm.cli.serve.worker import main
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
    assert "output " not in (tmp_path / "errors.txt").read_text("utf-8")
    held.close()
    until_it_says(tmp_path, "output ")
    process.stop()
    assert end(process)[0] == 130


def test_usage_errors_and_ours_are_one_line(tmp_path: Path) -> None:
    assert end(start(tmp_path, ["train", "--steps=x", "--", "-"])) == (
        2,
        "Invalid value for '--steps': 'x' is not a valid int.",
    )
    code, line = end(start(tmp_path, ["train", "--lr=-1", "--", "-"]))
    assert code == 1
    assert line.startswith("lr is -1")


def test_a_text_that_is_gone(tmp_path: Path) -> None:
    process = Process(WORKER, tmp_path, tmp_path / "lock", tmp_path / "errors.txt", TRAIN, tmp_path / "no.txt")
    assert end(process) == (1, "the job's text cannot be read: No such file or directory; begin another job")


def test_what_nobody_expected_is_told_without_a_traceback(tmp_path: Path) -> None:
    script = "import numlstm.cli.serve.worker as worker\nworker.command_line = lambda: 1 / 0\nworker.main()"
    code, line = end(start(tmp_path, command=(sys.executable, "-c", script)))
    assert code == 1
    assert line == "the training failed (ZeroDivisionError); errors.txt in the job's folder says where"
    assert "Traceback" in (tmp_path / "errors.txt").read_text("utf-8")


def test_it_does_not_know_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMLSTM_API_KEY", "secret")
    script = "import os, sys; sys.stdin.readline(); print('secret' in os.environ.values())"
    assert end(start(tmp_path, command=(sys.executable, "-c", script))) == (0, f"False{os.linesep}")


def test_without_a_server_that_says_anything_it_ends(tmp_path: Path) -> None:
    done = subprocess.run([*WORKER, tmp_path, tmp_path / "lock"], stdin=subprocess.DEVNULL, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_what_is_printed_is_remembered_though_it_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    printed = Printed()
    print("x" * 9000, "numlstm: what is wrong", "╰──────╯", "", sep="\n", file=printed)
    assert printed.last_line() == "what is wrong"
    assert len(printed.end) < 5000
