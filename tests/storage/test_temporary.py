"""Temporary files of killed processes are removed; files that may still be written are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from numlstm.storage import temporary
from numlstm.storage.temporary import remove_abandoned, temporary_beside


@pytest.fixture
def gone() -> int:
    """Return the id of a process that has ended."""
    return int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)


def of_process(target: Path, process: int) -> Path:
    path = temporary_beside(target)
    return path.with_name(path.name.replace(f"-{os.getpid()}-", f"-{process}-"))


@pytest.mark.skipif(os.name != "posix", reason="nothing is removed where running processes are unknown")
def test_only_files_of_processes_that_are_gone_are_removed(
    tmp_path: Path, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "weights.npz"
    abandoned = [of_process(target, gone) for _ in range(2)]
    kept = [
        temporary_beside(target),  # this process
        of_process(target, 1),  # a running process, possibly another user's
        of_process(target.with_name("other.npz"), gone),
        target,
        tmp_path / ".weights.npz.0123456789abcdef.tmp",
    ]
    monkeypatch.setattr(temporary, "_machine", lambda: "00000000")
    kept.append(of_process(target, gone))  # a process on another machine
    monkeypatch.undo()
    for path in (*abandoned, *kept):
        path.touch()
    remove_abandoned(target)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.skipif(os.name != "posix", reason="other systems are not asked which processes run")
@pytest.mark.parametrize("error", [PermissionError, OverflowError])
def test_a_process_of_another_user_may_still_write(
    tmp_path: Path, gone: int, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def kill(process: int, signal: int) -> None:
        raise error

    path = of_process(tmp_path / "weights.npz", gone)
    path.touch()
    monkeypatch.setattr(os, "kill", kill)
    remove_abandoned(tmp_path / "weights.npz")
    assert path.exists()


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_abandoned(tmp_path / "none" / "weights.npz")


def test_names_are_new_each_time_and_short_enough(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 90 + ".npz")
    names = {temporary_beside(target).name for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith(".") and len(name.encode()) <= 255 for name in names)
