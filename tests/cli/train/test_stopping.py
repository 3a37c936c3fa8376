"""A run can be stopped at any moment, by any signal and repeatedly, without losing work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from numlstm.cli.train.progress import Watch
from numlstm.network import weights_file
from numlstm.training import loop as training
from numlstm.training.checkpoint import Saver
from numlstm.training.stopping import stop_asked
from tests.cli.conftest import Command
from tests.helpers.processes import hears_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

RARELY_SAVED = ("--save-every", "1h", "--sample-length", "0")


def start(folder: Path, script: str, *args: str | Path) -> subprocess.Popen[str]:
    """Start `numlstm train` after `script`, which patches a function to be slow and to create the file "now"."""
    script = f"import time\n{script}\nfrom numlstm.cli import main\nmain()\n"
    command = [sys.executable, "-c", script, "train", *args, *RARELY_SAVED]
    return subprocess.Popen(hears_signals(command), cwd=folder, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the file exists; if it never does, the test's timeout ends the wait."""
    while not path.exists():
        assert process.poll() is None, "the run ended before the slow function was called"
        time.sleep(0.01)


def slow(module: str, name: str, seconds: float) -> str:
    """Return code that delays a function of numlstm, by many short sleeps because signals do not interrupt a sleep."""
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


@pytest.mark.parametrize(
    "number", ["SIGINT", *(pytest.param(n, marks=pytest.mark.slow) for n in ("SIGTERM", "SIGHUP"))]
)
def test_a_signal_that_comes_twice_stops_once(
    number: str, text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """`timeout` signals the process and its group, and so does a closing terminal."""
    process = start(tmp_path, slow("numlstm.training.loop", "_make", 0.4), text_file, *tiny, "--steps", "60")
    wait_for(tmp_path / "now", process)
    for _ in range(2):
        process.send_signal(getattr(signal, number))
        time.sleep(0.1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped and saved at step" in errors
    assert weights_file.load(tmp_path / "weights.npz").state is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_a_signal_stops_after_the_step(
    number: signal.Signals,
    numlstm: Command,
    signal_in: Callable[..., None],
    text_file: Path,
    tiny: tuple[str, ...],
    tmp_path: Path,
) -> None:
    signal_in(training, "_make", number)
    done = numlstm("train", text_file, *tiny, "--steps", "60", *RARELY_SAVED)
    assert done.returncode == 130
    assert "stopped and saved at step 1;" in done.stderr
    state = weights_file.load(tmp_path / "weights.npz").state
    assert state is not None
    assert state.step == 1


@pytest.fixture
def signal_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object, str, signal.Signals], None]]:
    """Raise a signal at each call of a patched function, even if the test process ignores that signal."""
    before = {}

    def patch(where: object, name: str, number: signal.Signals) -> None:
        function = getattr(where, name)
        before[number] = signal.signal(number, signal.SIG_DFL)

        def interrupted(*args: Any, **options: Any) -> Any:
            signal.raise_signal(number)
            return function(*args, **options)

        monkeypatch.setattr(where, name, interrupted)

    yield patch
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_while_the_run_is_saved_loses_nothing(
    numlstm: Command, signal_in: Callable[..., None], text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    signal_in(Saver, "save_or_rescue", signal.SIGTERM)
    done = numlstm("train", text_file, *tiny, "--steps", "1000000", "--max-time", "0.1s", *RARELY_SAVED)
    assert done.returncode == 130
    assert weights_file.load(tmp_path / "weights.npz").state is not None


def test_ctrl_c_again_stops_at_once_and_says_what_is_kept(
    numlstm: Command, text_file: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*args: object) -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(1.1)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the step was not interrupted")

    monkeypatch.setattr(training, "_make", endless)
    done = numlstm("train", text_file, *tiny, "--steps", "60", *RARELY_SAVED)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "stopped immediately; nothing had been saved yet"


def test_what_comes_of_an_epoch_is_not_left_out(
    numlstm: Command, signal_in: Callable[..., None], text_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """An interrupted validation is repeated on resume, but a missed snapshot would not be."""
    signal_in(Watch, "epoch", signal.SIGINT)
    done = numlstm("train", text_file, *tiny, "--epochs", "2", "--snapshot-epochs", "1", *RARELY_SAVED)
    assert done.returncode == 130
    state = weights_file.load(tmp_path / "weights.npz").state
    assert state is not None
    assert [step for step, *_ in state.record["history"]] == [23]
    assert weights_file.load(tmp_path / "weights-epoch1.npz").summary["steps"] == 23


@pytest.mark.parametrize("ignored", [True, False])
def test_a_run_under_nohup_outlives_its_terminal(ignored: bool) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with stop_asked() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.asked is not ignored
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_limit_of_a_thousand_years_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    with stop_asked(time.monotonic() + 1000 * 365 * 86400) as stop:
        time.sleep(0.05)
    assert not stop.asked
    assert capfd.readouterr().err == ""
