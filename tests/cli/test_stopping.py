"""A run is stopped at any moment, in any way and more than once, and nothing of it is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from numlstm import weights
from numlstm.cli.stopping import stop_asked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def start(folder: Path, script: str, *args: str | Path) -> subprocess.Popen[str]:
    """Run `script`, which makes something slow and notes in the file "now" that it is under way, and then train."""
    script = f"import time\n{script}\nfrom numlstm.cli import main\nmain()\n"
    command = [sys.executable, "-c", script, "train", *map(str, args), "--save-every", "1h", "--sample-length", "0"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists()


def slow(module: str, name: str, seconds: float) -> str:
    """Return lines that make a function of numlstm wait before it begins, in parts as a signal cuts no sleep short."""
    return (
        f"import {module} as module\n"
        f"quick = module.{name}\n"
        "def slow(*args, **options):\n"
        "    open('now', 'w').close()\n"
        f"    for _ in range({int(seconds * 50)}):\n"
        "        time.sleep(0.02)\n"
        "    return quick(*args, **options)\n"
        f"module.{name} = slow\n"
    )


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_comes_twice_stops_once(
    number: str, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """As from `timeout`, which tells the process and its group, and from a terminal that closes."""
    process = start(tmp_path, slow("numlstm.train", "_make", 0.4), text_file, *tiny, "--steps", "60")
    wait_for(tmp_path / "now")
    for _ in range(2):
        process.send_signal(getattr(signal, number))
        time.sleep(0.1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped and saved at step" in errors
    assert weights.load(tmp_path / "weights.npz").state is not None


def test_a_signal_while_the_run_is_saved_loses_nothing(text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    slow_lines = slow("numlstm.cli.session", "Saver.save_or_rescue", 0.5)
    process = start(tmp_path, slow_lines, text_file, *tiny, "--steps", "60", "--max-time", "0.1s")
    wait_for(tmp_path / "now")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert weights.load(tmp_path / "weights.npz").state is not None


def test_ctrl_c_again_stops_at_once_and_says_what_is_kept(
    text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    process = start(tmp_path, slow("numlstm.train", "_make", 60), text_file, *tiny, "--steps", "60")
    wait_for(tmp_path / "now")
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stopped at once; nothing had been saved yet"


def test_what_comes_of_an_epoch_is_not_left_out(text_file: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """Validation may be stopped in the middle, and is then made up for; a snapshot after it would not be."""
    slow_lines = slow("numlstm.cli.progress", "Watch.epoch", 0.5)
    process = start(tmp_path, slow_lines, text_file, *tiny, "--epochs", "2", "--snapshot-epochs", "1")
    wait_for(tmp_path / "now")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    state = weights.load(tmp_path / "weights.npz").state
    assert state is not None
    assert [step for step, *_ in state.record["history"]] == [85]
    assert weights.load(tmp_path / "weights-epoch1.npz").summary["steps"] == 85


def test_a_limit_of_a_thousand_years_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    with stop_asked(time.monotonic() + 1000 * 365 * 86400) as stop:
        time.sleep(0.05)
    assert not stop.asked
    assert capfd.readouterr().err == ""
