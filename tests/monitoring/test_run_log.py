"""A log stays readable whatever happens to its run, and is never overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from numlstm.errors import LogError
from numlstm.monitoring import run_log
from numlstm.monitoring.run_log import RunLog


def event(kind: str, step: int, **more: object) -> dict[str, object]:
    return {"event": kind, "step": step, **more}


def test_what_is_written_is_read_again_at_once(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "new" / "run.jsonl")
    assert not log.path.exists(), "no file before the first event"
    for step in range(3):
        log.write(event("step", step, text="한글\n"))
        assert [each["step"] for each in run_log.read(log.path)] == list(range(step + 1)), "must not be buffered"
    assert len(log.path.read_text("utf-8").splitlines()) == 3
    log.close()


def test_a_killed_process_leaves_all_its_events(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    killed = (
        "import os, sys; from numlstm.monitoring.run_log import RunLog; log = RunLog(sys.argv[1])\n"
        "for n in range(50): log.write({'event': 'step', 'step': n})\n"
        "os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, path]).returncode == 9
    assert len(run_log.read(path)) == 50


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    log.write(event("step", 1, loss=float("nan"), more={"a": [float("inf"), 1.5]}))
    log.close()
    found = json.loads(log.path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found == {"event": "step", "step": 1, "loss": None, "more": {"a": [None, 1.5]}}


def test_a_torn_line_is_passed_over_and_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"event": "start", "step": 0}\n{"event": "step", "st')
    log = RunLog(path)
    log.write(event("step", 1))
    log.close()
    assert [each["event"] for each in run_log.read(path)] == ["start", "step"]


def test_a_resumed_run_takes_the_place_of_what_was_lost(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    for each in (("start", 0), ("step", 1), ("step", 2), ("step", 3), ("start", 1), ("step", 2), ("end", 2)):
        log.write(event(*each))
    found = [(each["event"], each["step"]) for each in run_log.read(log.path)]
    assert found == [("start", 0), ("step", 1), ("start", 1), ("step", 2), ("end", 2)]
    log.write(event("start", 0))
    log.close()
    assert len(run_log.read(log.path)) == 1, "a start at step 0 begins another run"


def test_a_file_that_is_no_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("my diary\n")
    with pytest.raises(LogError, match="is not the log of a run"):
        RunLog(path)
    assert path.read_text() == "my diary\n"
    with pytest.raises(LogError, match="cannot be written"):
        RunLog(tmp_path)
    with pytest.raises(LogError, match="holds no events"):
        run_log.read(path)
    with pytest.raises(LogError, match="cannot be read"):
        run_log.read(tmp_path / "absent")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, the device that is always full")
def test_a_full_disk_is_an_error_that_can_be_caught(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.symlink_to("/dev/full")
    log = RunLog(path)
    for _ in range(2):
        with pytest.raises(LogError, match="No space left"):
            log.write(event("step", 1))
    log.close()


def test_a_line_of_which_only_a_part_was_written_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    log.write(event("step", 1))
    file = log._file
    assert file is not None

    class Short:
        def write(self, line: bytes) -> int:
            return file.write(line[:5])

    log._file = Short()  # type: ignore[assignment]
    with pytest.raises(LogError, match="no room"):
        log.write(event("step", 2))
    log._file = file
    log.write(event("step", 3))
    log.close()
    assert [each["step"] for each in run_log.read(log.path)] == [1, 3]
